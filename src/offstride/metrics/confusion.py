"""Confusion counts and the scores that follow from them: IoU, pixel accuracy, mean accuracy.

Counts are added up over the whole dataset before anything is divided, as PASCAL VOC, Cityscapes and ADE20K score.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric

from offstride.ops.argmax.reference import count_pairs
from offstride.ops.labels import IGNORE_INDEX

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_num_classes(num_classes: int) -> None:
    """Raise a `ValueError` unless there are 2 to 255 classes, as many as uint8 label maps can tell apart from 255."""
    if not 2 <= num_classes <= 255:
        raise ValueError(f"num_classes: expected 2 to 255, got {num_classes}")


def valid_pixels(prediction: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Mask of the pixels that count, those whose label is not `ignore_index`.

    Raises:
        ValueError: If the maps differ in shape, are not of integers, or hold a class outside 0 … num_classes - 1 in a
            pixel that counts.
    """
    if prediction.shape != label.shape:
        raise ValueError(f"prediction: expected the shape of label {(*label.shape,)}, got {(*prediction.shape,)}")
    valid = label != ignore_index
    for name, classes in (("prediction", prediction), ("label", label)):
        if classes.dtype not in _INTEGERS:
            raise ValueError(f"{name}: expected integers, got {classes.dtype}")
        low, high = (int(end) for end in (classes * valid).aminmax()) if classes.numel() else (0, 0)
        if low < 0 or high >= num_classes:
            raise ValueError(f"{name}: expected classes 0 to {num_classes - 1}, got {low if low < 0 else high}")
    return valid


def confusion_matrix(prediction: Tensor, label: Tensor, num_classes: int, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Count the pixels of every pair of true and predicted class.

    Args:
        prediction: Integer classes of any shape.
        label: True classes of the same shape.
        num_classes: Number n of classes, 2 to 255.
        ignore_index: Label of pixels that are not counted, whatever is predicted there.

    Returns:
        `(n, n)` int64: rows are true classes, columns predicted ones.

    Raises:
        ValueError: If shapes differ, or a pixel that counts holds no class.
    """
    check_num_classes(num_classes)
    valid_pixels(prediction, label, num_classes, ignore_index)
    return count_pairs(label, prediction, num_classes, ignore_index)


def mean_present(values: Tensor, indices: Iterable[int] | None = None) -> float:
    """Mean of `(n,)` per-class values over `indices` (all by default); absent classes, which are NaN, are left out.

    Returns:
        NaN if none of the classes is present.

    Raises:
        ValueError: If an index is not a class.
    """
    chosen = list(range(len(values)) if indices is None else indices)
    wrong = [index for index in chosen if not 0 <= index < len(values)]
    if wrong:
        raise ValueError(f"indices: expected classes 0 to {len(values) - 1}, got {wrong}")
    return float(values[chosen].nanmean())


@dataclass(eq=False)
class SegmentationScores:
    """Scores of a confusion matrix; shares of 1.

    Attributes:
        miou: Mean of `iou` over the classes that are not absent.
        pixel_accuracy: Share of pixels with the right class.
        mean_accuracy: Mean of `accuracy` over the classes with pixels.
        iou: `(n,)` intersection over union per class: 0 if a class is predicted but never true, NaN if it is absent.
        accuracy: `(n,)` share of a class's pixels that are predicted as it (recall), NaN for a class without pixels.
        support: `(n,)` int64 number of true pixels per class.
        absent: Classes that are neither in the labels nor in the predictions.

    Without a single counted pixel all shares are NaN.
    """

    miou: float
    pixel_accuracy: float
    mean_accuracy: float
    iou: Tensor
    accuracy: Tensor
    support: Tensor
    absent: tuple[int, ...]

    @classmethod
    def from_matrix(cls, matrix: Tensor) -> "SegmentationScores":
        """Score an `(n, n)` confusion matrix with true classes in rows."""
        matrix = matrix.cpu()
        hits, support = matrix.diagonal(), matrix.sum(1)
        union = support + matrix.sum(0) - hits
        iou, accuracy = hits.double() / union, hits.double() / support
        return cls(
            miou=mean_present(iou),
            pixel_accuracy=float(hits.sum().double() / support.sum()),
            mean_accuracy=mean_present(accuracy),
            iou=iou,
            accuracy=accuracy,
            support=support,
            absent=tuple(torch.nonzero(union == 0).flatten().tolist()),
        )

    def mean_iou(self, indices: Iterable[int]) -> float:
        """Mean IoU of some classes, such as the thin ones; absent ones are left out, NaN if all are absent."""
        return mean_present(self.iou, indices)


class ConfusionMatrix(Metric):
    """Confusion counts of a dataset, added up over batches and processes.

    Args:
        num_classes: Number of classes, 2 to 255.
        ignore_index: Label of pixels that are not counted.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    matrix: Tensor

    def __init__(self, num_classes: int, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.add_state("matrix", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Add `(B, H, W)` predicted and true classes; see `confusion_matrix`."""
        self.matrix += confusion_matrix(prediction, label, self.num_classes, self.ignore_index)

    def add(self, counts: Tensor) -> None:
        """Add `(n, n)` counts, such as those of `offstride.field.confusion`."""
        if counts.shape != self.matrix.shape:
            raise ValueError(f"counts: expected shape {tuple(self.matrix.shape)}, got {tuple(counts.shape)}")
        self._update_count += 1  # torchmetrics warns of metrics that nothing was added to
        self._computed = None
        self.matrix += counts

    def compute(self) -> SegmentationScores:
        """Score everything added so far."""
        return SegmentationScores.from_matrix(self.matrix)
