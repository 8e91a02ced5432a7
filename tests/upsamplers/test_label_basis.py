"""The basis of the label space against plain sums, and its file."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from offstride.field import SubpixelField, argmax
from offstride.upsamplers import LabelBasis, fit_label_basis


@pytest.fixture(scope="module")
def maps():
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 4, (6, 5, 6)))
    fine = coarse.repeat_interleave(5, 1).repeat_interleave(4, 2)[:, :22, :23].clone()
    fine[:, 7:9, 3:6] = 255
    return fine


@pytest.fixture(scope="module")
def basis(maps):
    return fit_label_basis(maps, scale=4, classes=4, channels=6)


def window_vectors(maps, scale, classes):
    B, H, W = maps.shape
    h, w = -(-H // scale), -(-W // scale)
    v = torch.zeros(B, h, w, scale, scale, classes, dtype=torch.float64)
    for b, y, x in np.ndindex(B, H, W):
        if maps[b, y, x] != 255:
            v[b, y // scale, x // scale, y % scale, x % scale, maps[b, y, x]] = 1
    return v


def test_codes_and_scores_follow_equation_2(maps, basis):
    v = window_vectors(maps, 4, 4).flatten(3)
    W, mean = basis.weight.double().flatten(0, 2), basis.mean.double().flatten()
    x = (v - mean) @ W
    codes = basis.encode(maps)
    assert torch.allclose(codes.permute(0, 2, 3, 1).double(), x, atol=1e-5)
    field = basis.decode(codes, (22, 23))
    assert isinstance(field, SubpixelField)
    windows = (x @ W.T + mean).view(6, 6, 6, 4, 4, 4)  # B, h, w, row, column, class
    scores = windows.permute(0, 5, 1, 3, 2, 4).reshape(6, 4, 24, 24)[:, :, :22, :23]
    assert torch.allclose(field.dense().double(), scores, atol=1e-5)


def test_error_is_the_sum_of_the_discarded_eigenvalues(maps, basis):
    v = window_vectors(maps, 4, 4).flatten(0, 2).flatten(1)
    values = np.linalg.eigvalsh(np.cov(v.numpy().T, bias=True))[::-1]
    W, mean = basis.weight.double().flatten(0, 2), basis.mean.double().flatten()
    error = (((v - mean) @ W) @ W.T + mean - v).square().sum(1).mean()
    assert np.isclose(error, values[6:].sum(), rtol=1e-5)
    assert np.isclose(basis.total_variance * (1 - basis.explained), values[6:].sum(), rtol=1e-9)
    assert np.isclose(basis.total_variance, values.sum(), rtol=1e-12)
    assert basis.windows == len(v)


def test_fewer_channels_are_the_first(maps, basis):
    few, fitted = basis.first(3), fit_label_basis(maps, scale=4, classes=4, channels=3)
    assert torch.equal(few.weight, fitted.weight)
    assert torch.equal(few.eigenvalues, fitted.eigenvalues)
    assert few.explained == pytest.approx(fitted.explained, abs=1e-6)
    with pytest.raises(ValueError, match="channels: expected 1 … 6, got 7"):
        basis.first(7)


def test_all_channels_give_the_labels_back(maps):
    basis = fit_label_basis(maps, scale=4, classes=4, channels=64)
    labels = argmax(basis.decode(basis.encode(maps), (22, 23)))
    known = maps != 255
    assert torch.equal(labels[known].long(), maps[known])


def test_maps_of_any_size_come_one_by_one(maps):
    one = fit_label_basis(maps[:2], scale=4, classes=4, channels=4)
    two = fit_label_basis(iter([maps[1], maps[:1].byte()]), scale=4, classes=4, channels=4)
    assert torch.equal(one.weight, two.weight)
    mixed = fit_label_basis([maps[0], maps[1, :9, :5]], scale=4, classes=4, channels=4)
    assert mixed.windows == 36 + 6


def test_one_class_everywhere():
    labels = torch.zeros(2, 8, 8, dtype=torch.uint8)
    basis = fit_label_basis([labels], scale=4, classes=1, channels=2)
    assert basis.explained == 1
    assert basis.total_variance == 0
    assert torch.equal(argmax(basis.decode(basis.encode(labels), (8, 8))), labels)


def test_descent_gives_a_basis_too(maps, basis):
    other = fit_label_basis(maps, scale=4, classes=4, channels=6, method="sgd", steps=800)
    assert other.method == "sgd"
    assert basis.explained - 0.02 < other.explained <= basis.explained + 1e-9


def test_files_say_what_they_hold(basis, tmp_path):
    path = tmp_path / "deep" / "basis.safetensors"
    basis.save(path)
    other = LabelBasis.load(path)
    for name in ("weight", "mean", "eigenvalues"):
        assert torch.equal(getattr(other, name), getattr(basis, name))
    assert other.describe() == basis.describe()
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["offstride_basis"])
    assert header["scale"] == header["classes"] == 4
    assert header["channels"] == 6
    assert header["method"] == "pca"
    assert header["total_variance"] == basis.total_variance


def test_other_files_are_refused(basis, tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match=r"label basis .*x.safetensors: expected a safetensors file"):
        LabelBasis.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="expected a safetensors file"):
        LabelBasis.load(path)
    wrong = LabelBasis(basis.weight, basis.mean[:2], basis.eigenvalues, 1.0, 0.5, 3)
    wrong.save(path)
    with pytest.raises(ValueError, match="expected tensors of"):
        LabelBasis.load(path)


def test_what_is_refused(maps, basis):
    with pytest.raises(ValueError, match="label_maps: expected at least one"):
        fit_label_basis([], scale=4, classes=4, channels=4)
    with pytest.raises(ValueError, match="method: expected one of"):
        fit_label_basis(maps, scale=4, classes=4, channels=4, method="ica")  # pyright: ignore
    with pytest.raises(ValueError, match=r"labels: expected shape \(B, H, W\)"):
        basis.encode(maps[0])
    with pytest.raises(ValueError, match=r"codes: expected shape \(B, 6, h, w\)"):
        basis.decode(torch.zeros(1, 5, 2, 2), (8, 8))
