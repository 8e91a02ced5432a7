"""The scene loss against a loop over images and classes."""

from math import exp, log

import pytest
import torch

from offstride.losses import scene_loss


def looped(scores, labels, ignored):
    total = 0.0
    for image, row in zip(labels.tolist(), scores.tolist(), strict=True):
        shown = {label for line in image for label in line if label != ignored}
        for label, score in enumerate(row):
            probability = 1 / (1 + exp(-score))
            total -= log(probability if label in shown else 1 - probability)
    return torch.tensor(total / scores.numel())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
@pytest.mark.parametrize("ignored", [255, 2, -100])
def test_equals_the_loop(dtype, ignored):
    scores, labels = torch.randn(3, 5), torch.randint(0, 3, (3, 4, 6), dtype=dtype)
    labels[0] = 4
    if ignored != -100:
        labels[1, 2:], labels[2] = ignored, ignored
    found = scene_loss(scores, labels, ignore_index=ignored)
    torch.testing.assert_close(found, looped(scores, labels, ignored))


def test_gradient_is_probability_less_presence():
    scores = torch.randn(2, 4, requires_grad=True)
    labels = torch.tensor([[[0, 0], [3, 255]], [[255, 255], [255, 255]]], dtype=torch.uint8)
    scene_loss(scores, labels).backward()
    present = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0]])
    torch.testing.assert_close(scores.grad, (scores.detach().sigmoid() - present) / 8)


def test_half_precision_scores_give_a_single_precision_loss():
    scores, labels = torch.randn(2, 4).bfloat16(), torch.zeros(2, 3, 3, dtype=torch.uint8)
    found = scene_loss(scores, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, looped(scores.float(), labels, 255))


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ((2, 3, 1, 1), torch.zeros(2, 4, 4, dtype=torch.long), r"scores: expected shape \(B, C\)"),
        ((2, 3), torch.zeros(1, 4, 4, dtype=torch.long), r"labels: expected shape \(2, 4, 4\), got \(1, 4, 4\)"),
        ((2, 3), torch.zeros(2, 4, dtype=torch.long), r"labels: expected shape .*got \(2, 4\)"),
        ((2, 3), torch.zeros(2, 4, 4), "labels: expected an integer type"),
        ((2, 3), torch.full((2, 4, 4), 3), r"labels: expected classes 0 … 2 or 255 .*got \[3\]"),
        ((2, 3), torch.full((2, 4, 4), -1), r"labels: expected classes 0 … 2 or 255 .*got \[-1\]"),
    ],
)
def test_wrong_arguments(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        scene_loss(torch.randn(scores), labels)
