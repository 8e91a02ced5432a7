"""Regression to compressed labels against the loops of Eqs. 2 and 4, and as a term of the whole loss."""

import numpy as np
import pytest
import torch

from offstride.field import BilinearField, SubpixelField, cross_entropy
from offstride.losses import LossConfig, compressed_label_loss, segmentation_losses

B, R, CLASSES, CHANNELS, GRID = 2, 4, 3, 5, (3, 4)


def basis():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(R * R * CLASSES, CHANNELS, generator=generator, dtype=torch.float64)
    weight = torch.linalg.qr(matrix).Q.reshape(R, R, CLASSES, CHANNELS)
    return weight, torch.rand(R, R, CLASSES, generator=generator, dtype=torch.float64)


def case(size=(10, 15), ignored=0.3):
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, CLASSES, (B, *size), generator=generator, dtype=torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < ignored] = 255
    labels[0, :R, :R] = 255  # a window without a class
    codes = torch.randn(B, CHANNELS, *GRID, generator=generator, dtype=torch.float64, requires_grad=True)
    return codes, labels


def by_the_letter(codes, labels, weight, mean, ignore=255):
    """Σ over channels, mean over the windows that hold a class, pixel by pixel."""
    codes, weight, mean = codes.detach().numpy(), weight.numpy(), mean.numpy()
    P = weight.reshape(R * R * CLASSES, CHANNELS).T
    errors = []
    for b in range(B):
        for i in range(GRID[0]):
            for j in range(GRID[1]):
                v = np.zeros((R, R, CLASSES))
                for y in range(R):
                    for x in range(R):
                        inside = i * R + y < labels.shape[1] and j * R + x < labels.shape[2]
                        if inside and labels[b, i * R + y, j * R + x] != ignore:
                            v[y, x, labels[b, i * R + y, j * R + x]] = 1
                if v.any():
                    target = P @ (v - mean).reshape(-1)
                    errors.append(((codes[b, :, i, j] - target) ** 2).sum())
    return np.mean(errors)


@pytest.mark.parametrize("size", [(12, 16), (10, 15), (8, 13)])  # the last leaves a row of windows beyond the map
def test_value_is_that_of_the_equations(size):
    codes, labels = case(size)
    found = compressed_label_loss(codes, labels, *basis())
    assert found.item() == pytest.approx(by_the_letter(codes, labels, *basis()), rel=1e-12)


def test_any_number_may_stand_for_ignored():
    codes, labels = case()
    expected = compressed_label_loss(codes, labels, *basis())
    signed = labels.long().masked_fill(labels == 255, -100)
    torch.testing.assert_close(compressed_label_loss(codes, signed, *basis(), ignore_index=-100), expected)
    one = labels.masked_fill(labels == 255, 1)
    found = compressed_label_loss(codes, one, *basis(), ignore_index=1)
    assert found.item() == pytest.approx(by_the_letter(codes, one, *basis(), ignore=1), rel=1e-12)


def test_gradients_reach_the_codes_alone():
    codes, labels = case()
    weight, mean = (tensor.requires_grad_() for tensor in basis())
    compressed_label_loss(codes, labels, weight, mean).backward()
    assert weight.grad is None
    assert mean.grad is None
    assert codes.grad.abs().max() > 0
    assert not codes.grad[0, :, 0, 0].any()  # the window without a class
    torch.autograd.gradcheck(lambda each: compressed_label_loss(each, labels, *basis()), codes)


def test_codes_of_the_labels_cost_nothing():
    codes, labels = case(ignored=0)
    target = codes.detach().clone().requires_grad_()
    for _ in range(2):  # one step of Newton: the loss is quadratic, and its Hessian 2 / windows
        (gradient,) = torch.autograd.grad(compressed_label_loss(target, labels, *basis()), target)
        counted = B * GRID[0] * GRID[1] - 1
        target = (target - counted / 2 * gradient).detach().requires_grad_()
    assert compressed_label_loss(target, labels, *basis()).item() == pytest.approx(0, abs=1e-20)


def test_a_batch_without_a_class_is_zero():
    codes, labels = case()
    loss = compressed_label_loss(codes, torch.full_like(labels, 255), *basis())
    loss.backward()
    assert loss.item() == 0
    assert not codes.grad.any()


def test_halves_of_a_batch_add_up():
    codes, labels = case()
    whole = compressed_label_loss(codes, labels, *basis())
    windows = torch.tensor([11.0, 12.0], dtype=torch.float64)
    halves = [
        compressed_label_loss(codes[b : b + 1], labels[b : b + 1], *basis(), across=lambda count: windows.mean())
        for b in range(B)
    ]
    torch.testing.assert_close(sum(halves) / 2, whole)


def test_low_precision_codes_are_compared_in_single():
    codes, labels = case()
    weight, mean = (tensor.float() for tensor in basis())
    loss = compressed_label_loss(codes.detach().bfloat16(), labels, weight, mean)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_the_letter(codes.bfloat16().double(), labels, *basis()), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": torch.zeros(B, CHANNELS + 1, *GRID)}, "codes: expected 5 channels as the weight has, got 6"),
        ({"codes": torch.zeros(CHANNELS, *GRID)}, "codes: expected shape"),
        ({"labels": torch.zeros(B, 13, 16, dtype=torch.uint8)}, r"labels: expected at most \(12, 16\) pixels"),
        ({"labels": torch.full((B, 12, 16), CLASSES)}, r"labels: expected classes 0 … 2 or 255 .*got \[3\]"),
        ({"labels": torch.full((B, 12, 16), -1)}, r"labels: expected classes 0 … 2 or 255 .*got \[-1\]"),
        ({"labels": torch.zeros(B, 12, 16)}, "labels: expected an integer type"),
        (
            {"labels": torch.zeros(B + 1, 12, 16, dtype=torch.uint8)},
            r"labels: expected shape \(2, 12.*got \(3, 12",
        ),
        ({"mean": torch.zeros(R, R, CLASSES + 1)}, "mean: expected shape"),
        ({"weight": torch.zeros(R, R, CHANNELS)}, "weight: expected shape"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_named(change, message):
    codes, labels = case()
    weight, mean = basis()
    arguments = {"codes": codes, "labels": labels, "weight": weight, "mean": mean} | change
    with pytest.raises(ValueError, match=message):
        compressed_label_loss(**arguments)


def test_it_is_a_term_beside_or_instead_of_the_cross_entropy():
    codes, labels = case()
    field = SubpixelField(codes, *basis(), (10, 15))
    plain = compressed_label_loss(codes, labels, *basis())
    beside = segmentation_losses(field, {}, labels, LossConfig(compressed=0.1))
    assert list(beside) == ["main", "compressed"]
    torch.testing.assert_close(beside["main"], cross_entropy(field, labels))
    torch.testing.assert_close(beside["compressed"], 0.1 * plain)
    alone = segmentation_losses(field, {}, labels, LossConfig(compressed=2.0, main=False))
    assert list(alone) == ["compressed"]
    torch.testing.assert_close(alone["compressed"], 2 * plain)


def test_other_upsamplers_have_no_codes():
    codes, labels = case()
    with pytest.raises(ValueError, match="compressed: expected a prediction by DUpsampling, got a BilinearField"):
        segmentation_losses(BilinearField(codes, (10, 15)), {}, labels, LossConfig(compressed=1.0))


def test_something_must_be_left_to_minimise():
    with pytest.raises(ValueError, match="main: expected true where compressed is 0"):
        LossConfig(main=False)
    with pytest.raises(ValueError, match="compressed: expected a number of at least 0"):
        LossConfig(compressed=-1.0)
