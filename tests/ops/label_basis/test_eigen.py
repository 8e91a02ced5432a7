"""Covariance, its eigenvectors and the descent against numpy on the windows written out."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from label_vectors import covariance as written_out
from label_vectors import regions

from offstride.ops.label_basis import (
    LabelCovariance,
    descend,
    eigen,
    label_windows,
    leading_eigenpairs,
    merge_windows,
)
from offstride.ops.label_basis import covariance as products


def encoded(maps, scale, classes):
    return [label_windows(torch.from_numpy(m), scale=scale, classes=classes) for m in maps]


def projectors(vectors, values, gap=1e-9):
    """Projector on the span of each cluster of equal eigenvalues, with its place."""
    edges = [0, *(i for i in range(1, len(values)) if values[i - 1] - values[i] > gap), len(values)]
    spans = (vectors[:, a:b] for a, b in pairwise(edges))
    return [span @ span.T for span in spans]


@pytest.mark.parametrize("scale", [1, 2, 3, 8])
def test_products_equal_those_of_the_covariance(scale):
    maps = regions(5, 13, 17, 3)
    mean, sigma = written_out(maps, scale, 3)
    covariance = LabelCovariance(encoded(maps, scale, 3))
    X = np.random.default_rng(1).normal(size=(len(mean), 4))
    assert np.allclose(covariance.mean, mean, atol=1e-14)
    assert np.isclose(covariance.total_variance, np.trace(sigma), rtol=1e-12)
    assert np.allclose(covariance @ torch.from_numpy(X), sigma @ X, atol=1e-12)


def test_many_pieces_and_parts_read_again_give_the_same(monkeypatch):
    maps = regions(6, 16, 16, 3)
    parts = encoded(maps, 4, 3)
    X = torch.randn(48, 3, dtype=torch.float64)
    whole = LabelCovariance(parts) @ X
    monkeypatch.setattr(products, "_RUNS_AT_ONCE", 40)
    pieces = LabelCovariance(parts)
    assert torch.allclose(pieces @ X, whole, atol=1e-13)
    assert torch.allclose(pieces @ X, whole, atol=1e-13)  # from what was kept
    monkeypatch.setattr(products, "_RUNS_KEPT", 8)
    streamed = LabelCovariance(parts)
    assert streamed.distinct > pieces.distinct  # the parts were not merged
    assert streamed.windows == pieces.windows
    assert torch.allclose(streamed @ X, whole, atol=1e-13)


def test_rows_of_windows_multiply_to_the_covariance():
    covariance = LabelCovariance(encoded(regions(4, 16, 16, 3), 4, 3))
    X = torch.randn(48, 3, dtype=torch.float64)
    assert torch.allclose(covariance.combine(covariance.project(X)), covariance @ X, atol=1e-13)


@pytest.mark.parametrize("way", ["covariance", "windows", "krylov"])
def test_eigenpairs_equal_those_of_numpy(way, monkeypatch):
    maps = regions(12, 40, 40, 3)
    _, sigma = written_out(maps, 8, 3)
    values, vectors = np.linalg.eigh(sigma)
    values, vectors = values[::-1], vectors[:, ::-1]
    covariance = LabelCovariance(encoded(maps, 8, 3))
    assert covariance.distinct > 150
    monkeypatch.setattr(eigen, "_BLOCK", 4)
    if way == "krylov":
        monkeypatch.setattr(eigen, "_DENSE", 0)
    if way == "windows":
        monkeypatch.setattr(eigen, "_of_covariance", eigen._of_windows)
    found = leading_eigenpairs(covariance, 9, tolerance=1e-10)
    assert found.residual < 1e-9
    assert np.allclose(found.values, values[:9], atol=1e-9)
    assert np.allclose(found.vectors.T @ found.vectors, np.eye(9), atol=1e-12)
    ours, theirs = projectors(found.vectors.numpy(), values[:9]), projectors(vectors[:, :9], values[:9])
    for one, other in zip(ours, theirs, strict=True):
        assert np.allclose(one, other, atol=1e-6)


def test_krylov_finds_every_one_of_equal_eigenvalues(monkeypatch):
    """Classes that play the same part give multiple eigenvalues, which a single vector would find once."""
    labels = torch.arange(12).repeat_interleave(8 * 8).view(12, 8, 8)
    noise = torch.randint(0, 12, (40, 8, 8))
    parts = [label_windows(torch.cat([labels.repeat(20, 1, 1), noise]), scale=8, classes=12)]
    monkeypatch.setattr(eigen, "_DENSE", 0)
    covariance = LabelCovariance(parts)
    found = leading_eigenpairs(covariance, 14)
    exact = np.linalg.eigvalsh((covariance @ torch.eye(768, dtype=torch.float64)).numpy())[::-1]
    assert np.allclose(found.values, exact[:14], atol=1e-9)


def test_one_window_has_no_variance():
    found = leading_eigenpairs(LabelCovariance(encoded([np.eye(4, dtype=np.uint8)], 4, 2)), 3)
    assert torch.equal(found.values, torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(3, dtype=torch.float64))


def test_directions_without_variance_fill_up_what_is_missing(monkeypatch):
    maps = [np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)]
    covariance = LabelCovariance(encoded(maps, 4, 2))
    monkeypatch.setattr(eigen, "_of_covariance", eigen._of_windows)
    found = leading_eigenpairs(covariance, 5)
    assert np.allclose(found.values, [8, 0, 0, 0, 0], atol=1e-12)
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(5, dtype=torch.float64), atol=1e-12)
    assert found.residual < 1e-12


def test_descent_approaches_the_optimum():
    covariance = LabelCovariance(encoded(regions(12, 40, 40, 3, ignored=0), 8, 3))
    steps = []
    values, axes = descend(covariance, 6, steps=600, batch=64, progress=lambda done, total: steps.append((done, total)))
    best = leading_eigenpairs(covariance, 6).values.sum()
    total = covariance.total_variance
    assert 1 - 1e-9 <= (total - values.sum()) / (total - best) < 1.05
    assert torch.allclose(axes.T @ axes, torch.eye(6, dtype=torch.float64), atol=1e-12)
    assert torch.allclose((axes.T @ (covariance @ axes)), torch.diag(values), atol=1e-9)
    assert steps[-1] == (600, 600)


def test_samples_are_drawn_as_often_as_they_occur():
    rare, common = torch.zeros(1, 2, 2, dtype=torch.uint8), torch.ones(9, 2, 2, dtype=torch.uint8)
    covariance = LabelCovariance([label_windows(torch.cat([rare, common]), scale=2, classes=2)])
    drawn = covariance.sample(4000, torch.Generator().manual_seed(0)).pixels()[:, 0]
    assert 0.88 < float(drawn.float().mean()) < 0.92


def test_what_is_refused():
    parts = encoded(regions(2, 8, 8, 2), 2, 2)
    covariance = LabelCovariance(parts)
    with pytest.raises(ValueError, match="label maps: expected at least one"):
        LabelCovariance([])
    with pytest.raises(ValueError, match="channels: expected 1 … 8"):
        leading_eigenpairs(covariance, 9)
    with pytest.raises(ValueError, match="channels: expected 1 … 8"):
        descend(covariance, 0)
    with pytest.raises(ValueError, match="tolerance: expected"):
        leading_eigenpairs(covariance, 2, tolerance=0)
    with pytest.raises(ValueError, match="rate: expected one at which the descent converges"):
        descend(covariance, 2, steps=50, rate=1e4)
    with pytest.raises(ValueError, match="steps: expected a positive"):
        descend(covariance, 2, steps=0)
    with pytest.raises(ValueError, match="parts: expected windows of one scale"):
        LabelCovariance([merge_windows(parts), label_windows(torch.zeros(4, 4).int(), scale=4, classes=2)])
