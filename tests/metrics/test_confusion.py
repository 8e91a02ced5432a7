import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offstride.metrics import ConfusionMatrix, SegmentationScores, confusion_matrix

CLASSES = 4
SHAPES = st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5))


@st.composite
def pairs(draw):
    shape = draw(SHAPES)
    prediction = draw(arrays(np.uint8, shape, elements=st.integers(0, CLASSES - 1)))
    label = draw(arrays(np.uint8, shape, elements=st.sampled_from([*range(CLASSES), 255])))
    return torch.from_numpy(prediction), torch.from_numpy(label)


def count_by_hand(prediction, label):
    matrix = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    for guess, truth in zip(prediction.flatten().tolist(), label.flatten().tolist(), strict=True):
        if truth != 255:
            matrix[truth, guess] += 1
    return torch.from_numpy(matrix)


def score_by_hand(prediction, label, class_index):
    counted = label != 255
    guess, truth = (prediction == class_index) & counted, (label == class_index) & counted
    union = int((guess | truth).sum())
    return int((guess & truth).sum()) / union if union else math.nan


@given(pairs())
def test_counts_every_pair_once(maps):
    matrix = confusion_matrix(*maps, CLASSES)
    assert matrix.dtype == torch.int64
    assert torch.equal(matrix, count_by_hand(*maps))


@given(pairs())
def test_iou_is_intersection_over_union_of_sets(maps):
    scores = SegmentationScores.from_matrix(confusion_matrix(*maps, CLASSES))
    expected = [score_by_hand(*maps, index) for index in range(CLASSES)]
    assert scores.iou.tolist() == pytest.approx(expected, nan_ok=True)
    assert scores.absent == tuple(index for index, value in enumerate(expected) if math.isnan(value))
    present = [value for value in expected if not math.isnan(value)]
    assert scores.miou == pytest.approx(np.mean(present) if present else math.nan, nan_ok=True)


@given(pairs(), pairs())
def test_metric_adds_up_batches(first, second):
    metric = ConfusionMatrix(CLASSES)
    metric.update(*first)
    metric.update(*second)
    assert torch.equal(metric.matrix, count_by_hand(*first) + count_by_hand(*second))


def test_scores_of_a_small_example():
    scores = SegmentationScores.from_matrix(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    assert scores.iou.tolist() == pytest.approx([3 / 4, 4 / 5, math.nan], nan_ok=True)
    assert scores.accuracy.tolist() == pytest.approx([3 / 4, 1, math.nan], nan_ok=True)
    assert scores.support.tolist() == [4, 4, 0]
    assert scores.absent == (2,)
    assert scores.miou == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert scores.pixel_accuracy == pytest.approx(7 / 8)
    assert scores.mean_accuracy == pytest.approx((3 / 4 + 1) / 2)


def test_a_class_that_is_only_predicted_counts_as_zero():
    scores = SegmentationScores.from_matrix(torch.tensor([[3, 1], [0, 0]]))
    assert scores.iou.tolist() == [0.75, 0]
    assert scores.miou == 0.375
    assert scores.mean_accuracy == 0.75
    assert scores.absent == ()


def test_mean_iou_of_some_classes_leaves_absent_ones_out():
    scores = SegmentationScores.from_matrix(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    assert scores.mean_iou([1, 2]) == pytest.approx(4 / 5)
    assert scores.mean_iou([0, 1]) == scores.miou
    assert math.isnan(scores.mean_iou([2]))
    assert math.isnan(scores.mean_iou([]))
    with pytest.raises(ValueError, match=r"indices: expected classes 0 to 2, got \[-1, 3\]"):
        scores.mean_iou([-1, 1, 3])


@pytest.mark.parametrize("prediction_type", [torch.uint8, torch.int64])
@pytest.mark.parametrize("label_type", [torch.uint8, torch.int64])
def test_integer_types_agree(prediction_type, label_type):
    prediction, label = torch.tensor([[[0, 1, 2, 254]]]), torch.tensor([[[0, 2, 255, 254]]])
    matrix = confusion_matrix(prediction.to(prediction_type), label.to(label_type), 255)
    assert matrix.sum() == 3
    assert matrix[0, 0] == matrix[2, 1] == matrix[254, 254] == 1


def test_predictions_in_ignored_pixels_are_not_looked_at():
    prediction, label = torch.tensor([[[1, 99]]]), torch.tensor([[[1, 7]]])
    assert confusion_matrix(prediction, label, 2, ignore_index=7).tolist() == [[0, 0], [0, 1]]


def test_nothing_counted_scores_nan():
    metric = ConfusionMatrix(2)
    metric.update(torch.zeros(1, 2, 2, dtype=torch.uint8), torch.full((1, 2, 2), 255))
    scores = metric.compute()
    assert all(math.isnan(value) for value in (scores.miou, scores.pixel_accuracy, scores.mean_accuracy))
    assert scores.absent == (0, 1)


def test_reset_forgets():
    metric = ConfusionMatrix(2)
    metric.update(torch.ones(1, 2, 2, dtype=torch.uint8), torch.ones(1, 2, 2, dtype=torch.uint8))
    assert metric.compute().support.tolist() == [0, 4]
    metric.reset()
    metric.update(torch.zeros(1, 1, 2, dtype=torch.uint8), torch.zeros(1, 1, 2, dtype=torch.uint8))
    assert metric.compute().support.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("prediction", "label", "message"),
    [
        (torch.zeros(1, 2, 2).long(), torch.zeros(2, 2, 2).long(), r"prediction: .*\(2, 2, 2\), got \(1, 2, 2\)"),
        (torch.zeros(1, 2, 2), torch.zeros(1, 2, 2).long(), "prediction: expected integers, got torch.float32"),
        (torch.full((1, 2, 2), 3), torch.zeros(1, 2, 2).long(), "prediction: expected classes 0 to 2, got 3"),
        (torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), -1), "label: expected classes 0 to 2, got -1"),
    ],
)
def test_bad_maps_are_refused(prediction, label, message):
    with pytest.raises(ValueError, match=message):
        ConfusionMatrix(3).update(prediction, label)


@pytest.mark.parametrize("num_classes", [1, 256])
def test_a_class_count_out_of_range_is_refused(num_classes):
    with pytest.raises(ValueError, match=f"num_classes: expected 2 to 255, got {num_classes}"):
        ConfusionMatrix(num_classes)
