import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offstride.metrics import BoundaryIoU, boundary_band

CLASSES = 3


@st.composite
def label_maps(draw):
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9)))
    prediction = draw(arrays(np.uint8, shape, elements=st.integers(0, CLASSES - 1)))
    label = draw(arrays(np.uint8, shape, elements=st.sampled_from([*range(CLASSES), 255])))
    return prediction, label


def erode(mask, radius, valid, frame):
    """What is left of a mask after erosion by a (2·radius + 1)² square; pixels that are not valid erode nothing."""
    height, width = mask.shape
    left = mask.copy()
    for y in range(height):
        for x in range(width):
            top, bottom, start, stop = y - radius, y + radius + 1, x - radius, x + radius + 1
            window = np.s_[max(top, 0) : bottom, max(start, 0) : stop]
            outside = top < 0 or start < 0 or bottom > height or stop > width
            left[y, x] &= (mask[window] | ~valid[window]).all() and not (frame and outside)
    return left


def boundary_by_hand(prediction, label, radius, frame):
    """Intersection and union of every class's inner boundaries, class by class and image by image."""
    counts = np.zeros((2, CLASSES), dtype=np.int64)
    for guess, truth in zip(prediction, label, strict=True):
        valid = truth != 255
        for index in range(CLASSES):
            masks = [(classes == index) & valid for classes in (guess, truth)]
            first, second = (mask & ~erode(mask, radius, valid, frame) for mask in masks)
            counts[:, index] += (first & second).sum(), (first | second).sum()
    return counts


@given(label_maps(), st.sampled_from([0.02, 0.2, 0.5, 1.0]), st.booleans())
def test_equals_erosion_of_every_class(maps, dilation, frame):
    metric = BoundaryIoU(CLASSES, dilation, frame=frame)
    metric.update(*map(torch.from_numpy, maps))
    expected = boundary_by_hand(*maps, metric.radius(*maps[0].shape[1:]), frame)
    assert metric.intersection.tolist() == expected[0].tolist()
    assert metric.union.tolist() == expected[1].tolist()


@pytest.mark.parametrize("radius", [1, 2, 3, 4, 7, 12])
def test_band_of_a_large_map(radius):
    classes = torch.zeros(1, 40, 50, dtype=torch.int64)
    classes[:, 20:, 24:] = 254
    inner = classes[0].numpy()
    expected = np.zeros_like(inner, dtype=bool)
    for index in (0, 254):
        mask = inner == index
        expected |= mask & ~erode(mask, radius, np.ones_like(mask), frame=False)
    band = boundary_band(classes, radius, frame=False)
    assert torch.equal(band[0], torch.from_numpy(expected))
    framed = boundary_band(classes, radius)
    assert framed[0, radius:-radius, radius:-radius].equal(band[0, radius:-radius, radius:-radius])
    assert framed.sum() == band[0, radius:-radius, radius:-radius].sum() + 40 * 50 - (40 - 2 * radius) * (
        50 - 2 * radius
    )


def test_ignored_pixels_make_no_boundary():
    classes = torch.tensor([[[0, 0, 1, 2, 2]]])
    valid = torch.tensor([[[True, True, False, True, True]]])
    assert not boundary_band(classes, 1, valid=valid, frame=False).any()
    assert boundary_band(classes, 2, valid=valid, frame=False).tolist() == [[[False, True, False, True, False]]]


def test_scores_of_a_small_example():
    label = torch.zeros(1, 10, 10, dtype=torch.uint8)
    label[..., 5:] = 1
    prediction = torch.zeros_like(label)
    prediction[..., 6:] = 1
    metric = BoundaryIoU(3, dilation=1 / 14.1421, frame=False)
    metric.update(prediction, label)
    mean, iou = scores = metric.compute()
    # Bands of one column on each side: 4 | 5 in the truth, 5 | 6 predicted; no class has its band in common.
    assert iou.tolist() == pytest.approx([0, 0, math.nan], nan_ok=True)
    assert mean == 0
    metric = BoundaryIoU(3, dilation=2 / 14.1421, frame=False)
    metric.update(prediction, label)
    mean, iou = scores = metric.compute()
    assert iou.tolist() == pytest.approx([1 / 3, 1 / 3, math.nan], nan_ok=True)
    assert mean == scores.mean == pytest.approx(1 / 3)
    assert scores.mean_iou([1, 2]) == pytest.approx(1 / 3)
    assert math.isnan(scores.mean_iou([2]))


def test_a_perfect_prediction_scores_one():
    label = torch.zeros(1, 64, 64, dtype=torch.int64)
    label[..., 32:] = 1
    for frame in (True, False):
        metric = BoundaryIoU(2, frame=frame)
        metric.update(label.to(torch.uint8), label)
        assert metric.compute().mean == 1


def test_batches_add_up():
    maps = torch.randint(3, (2, 4, 12, 17), generator=torch.Generator().manual_seed(0))
    whole, parts = BoundaryIoU(3), BoundaryIoU(3)
    whole.update(*maps)
    for prediction, label in zip(maps[0], maps[1], strict=True):
        parts.update(prediction[None].to(torch.uint8), label[None])
    assert torch.equal(whole.compute().iou, parts.compute().iou)


def test_radius_is_a_share_of_the_diagonal():
    metric = BoundaryIoU(2)
    assert metric.radius(360, 480) == 12
    assert [metric.radius(64, 64), metric.radius(192, 256)] == [2, 6]  # 1.81 and 6.4 are rounded
    assert metric.radius(4, 4) == 1


@pytest.mark.parametrize("dilation", [0, -0.1, 1.5])
def test_a_dilation_out_of_range_is_refused(dilation):
    with pytest.raises(ValueError, match=f"dilation: expected a share .* got {dilation}"):
        BoundaryIoU(2, dilation)


@pytest.mark.parametrize(
    ("prediction", "label", "message"),
    [
        (torch.zeros(1, 2, 2).long(), torch.zeros(2, 2, 2).long(), r"prediction: .*\(2, 2, 2\), got \(1, 2, 2\)"),
        (torch.zeros(2, 2).long(), torch.zeros(2, 2).long(), r"label: expected \(B, H, W\), got \(2, 2\)"),
        (torch.full((1, 2, 2), 2), torch.zeros(1, 2, 2).long(), "prediction: expected classes 0 to 1, got 2"),
        (torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), 11), "label: expected classes 0 to 1, got 11"),
    ],
)
def test_bad_maps_are_refused(prediction, label, message):
    with pytest.raises(ValueError, match=message):
        BoundaryIoU(2).update(prediction, label)
