"""Run-length windows against windows written out."""

from collections import Counter

import numpy as np
import pytest
import torch
from label_vectors import regions, vectors

from offstride.ops.label_basis import label_windows, merge_windows, project_windows, split_windows


def encoded(maps, scale, classes, **options):
    return merge_windows([label_windows(torch.from_numpy(m), scale=scale, classes=classes, **options) for m in maps])


def tally(rows):
    return Counter(row.astype(np.uint8).tobytes() for row in rows)


@pytest.mark.parametrize("scale", [1, 3, 4, 8])
def test_the_windows_are_those_of_the_maps(scale):
    maps = regions(3, 13, 18, 4)
    windows = encoded(maps, scale, 4)
    expected = tally(vectors(maps, scale, 4))
    dense = windows.dense().numpy()
    assert windows.total == sum(expected.values())
    assert windows.distinct == len(expected)
    assert {
        row.astype(np.uint8).tobytes(): count for row, count in zip(dense, windows.counts.tolist(), strict=True)
    } == dict(expected)


def test_runs_are_the_pieces_of_one_label():
    windows = label_windows(torch.tensor([[0, 0, 1], [1, 1, 255], [2, 2, 2]]), scale=3, classes=3)
    assert windows.positions.tolist() == [0, 2, 5, 6]
    assert windows.labels.tolist() == [0, 1, 3, 2]
    assert windows.lengths.tolist() == [2, 3, 1, 3]


def test_the_sharing_out_does_not_matter():
    maps = [torch.from_numpy(m) for m in regions(6, 16, 16, 3)]
    parts = [label_windows(m, scale=4, classes=3) for m in maps]
    one = merge_windows(parts)
    other = merge_windows([merge_windows(parts[4:]), merge_windows(parts[:1]), merge_windows(parts[1:4])])
    together = label_windows(torch.stack(maps), scale=4, classes=3)
    for name in ("codes", "offsets", "counts", "keys"):
        assert torch.equal(getattr(one, name), getattr(other, name))
        assert torch.equal(getattr(one, name), getattr(together, name))


def test_windows_of_one_class_are_kept_once():
    windows = label_windows(torch.full((2, 64, 64), 7), scale=16, classes=9)
    assert (windows.total, windows.distinct, windows.runs) == (32, 1, 1)


def test_selected_windows_keep_their_pixels():
    windows = encoded(regions(2, 12, 12, 3), 4, 3)
    index = torch.tensor([3, 0, 3])
    assert torch.equal(windows.select(index).pixels(), windows.pixels()[index])
    assert torch.equal(windows.pixels(2, 5), windows.pixels()[2:5])


@pytest.mark.parametrize("classes", [3, 300])
def test_other_types_and_ignore_labels(classes):
    labels = torch.randint(0, classes, (9, 10))
    labels[2] = -1
    windows = label_windows(labels.int(), scale=4, classes=classes, ignore_index=-1)
    written = np.where(labels.numpy() < 0, 999, labels.numpy())
    assert tally(np.repeat(windows.dense().numpy(), windows.counts, 0)) == tally(vectors([written], 4, classes))


def test_products_are_those_of_the_one_hot_windows():
    maps = regions(2, 10, 14, 3)
    pixels = split_windows(torch.from_numpy(np.stack(maps)), scale=4, classes=3).flatten(0, 2)
    weight = torch.randn(4, 4, 3, 5, dtype=torch.float64, requires_grad=True)
    v = torch.from_numpy(vectors(maps, 4, 3))
    product = project_windows(pixels, weight)
    assert torch.allclose(product, v @ weight.flatten(0, 2))
    upstream = torch.randn_like(product)
    (gradient,) = torch.autograd.grad(product, weight, upstream)
    assert torch.allclose(gradient.flatten(0, 2), v.T @ upstream)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (torch.tensor([[0, 5]]), {}, r"labels: expected 0 … 2 or 255, got 5"),
        (torch.tensor([[0, -1]]), {}, r"labels: expected 0 … 2 or 255, got -1"),
        (torch.tensor([[0, 255]], dtype=torch.uint8), {"ignore_index": -1}, r"got 255"),
        (torch.zeros(4, 4), {}, r"labels: expected integers, got torch.float32"),
        (torch.zeros(4, dtype=torch.uint8), {}, r"labels: expected maps"),
        (torch.zeros(4, 4, dtype=torch.uint8), {"scale": 0}, r"scale: expected a positive"),
        (torch.zeros(4, 4, dtype=torch.uint8), {"classes": 0}, r"classes: expected a positive"),
    ],
)
def test_what_is_refused(labels, options, message):
    with pytest.raises(ValueError, match=message):
        label_windows(labels, **{"scale": 2, "classes": 3, **options})


def test_parts_must_be_of_one_kind():
    parts = [label_windows(torch.zeros(4, 4, dtype=torch.uint8), scale=scale, classes=2) for scale in (1, 2)]
    with pytest.raises(ValueError, match="parts: expected windows of one scale"):
        merge_windows(parts)
    with pytest.raises(ValueError, match="got none"):
        merge_windows([])
