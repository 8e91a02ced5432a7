"""Evaluation of a model on a data set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from offstride.data import ClassSet, EvalTransform, Sample, SampleSet
from offstride.field import argmax
from offstride.inference import InferenceProtocol
from offstride.inference.images import ImageModel, NamedModel

if TYPE_CHECKING:
    from offstride.metrics import BoundaryScores, SegmentationScores

WHOLE = InferenceProtocol()
"""Images are predicted whole, as they are."""


class LabelledImages(Dataset[tuple[Tensor, Tensor]]):
    """Part of a data set as (image, label) tensors, ready for a model.

    Args:
        dataset: Labelled images.
        transform: From a sample to tensors.
        share: Indices of the part.
    """

    def __init__(
        self, dataset: SampleSet, transform: Callable[[Sample], tuple[Tensor, Tensor]], share: Sequence[int]
    ) -> None:
        self.dataset, self.transform, self.share = dataset, transform, share

    def __len__(self) -> int:
        return len(self.share)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.dataset[self.share[index]])


def label_map(model: ImageModel, images: Tensor, protocol: InferenceProtocol = WHOLE) -> Tensor:
    """Predicted classes of `(B, 3, H, W)` images: `(B, H, W)`; whole images without full-resolution scores."""
    return argmax(protocol.field(model.field, images))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a model on a data set.

    Attributes:
        classes: The classes.
        scores: mIoU, pixel accuracy and scores of each class.
        boundary: Boundary IoU (Cheng et al., CVPR 2021), mean and of each class.
        images: Number of images.
        seconds: Time of the predictions alone.
    """

    classes: ClassSet
    scores: SegmentationScores
    boundary: BoundaryScores
    images: int
    seconds: float

    @property
    def thin_iou(self) -> float:
        """Mean IoU of the thin classes; NaN where the data set names none."""
        return self.scores.mean_iou(self.classes.names.index(name) for name in self.classes.thin)

    def to_dict(self) -> dict[str, Any]:
        """All figures as values for JSON; None where a class is absent."""
        rows = {
            name: {
                "iou": _number(self.scores.iou[index]),
                "boundary_iou": _number(self.boundary.iou[index]),
                "accuracy": _number(self.scores.accuracy[index]),
                "pixels": int(self.scores.support[index]),
            }
            for index, name in enumerate(self.classes.names)
        }
        return {
            "miou": _number(self.scores.miou),
            "boundary_iou": _number(self.boundary.mean),
            "thin_iou": _number(self.thin_iou),
            "pixel_accuracy": _number(self.scores.pixel_accuracy),
            "mean_accuracy": _number(self.scores.mean_accuracy),
            "absent": [self.classes.names[index] for index in self.scores.absent],
            "images": self.images,
            "seconds": round(self.seconds, 3),
            "classes": rows,
        }


def _number(value: Tensor | float) -> float | None:
    return None if math.isnan(value) else float(value)


def evaluate(
    model: NamedModel,
    dataset: SampleSet,
    *,
    protocol: InferenceProtocol = WHOLE,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Predict every image and score the predictions.

    Args:
        model: Left in evaluation mode; runs where its parameters are.
        dataset: Labelled images of the model's classes.
        protocol: How images are predicted; whole by default.
        workers: Processes that load data.
        progress: Called with the number of images done and their total.

    Raises:
        ValueError: If the data set has other classes than the model.
    """
    from offstride.metrics import BoundaryIoU, ConfusionMatrix  # torchmetrics takes seconds to import

    classes, device = dataset.classes, device_of(model)
    confusion, boundary = ConfusionMatrix(len(classes)).to(device), BoundaryIoU(len(classes)).to(device)
    seconds = 0.0
    for prediction, label, spent in predicted(model, dataset, protocol, workers, progress):
        confusion.update(prediction, label)
        boundary.update(prediction, label)
        seconds += spent
    return Evaluation(classes, confusion.compute(), boundary.compute(), len(dataset), seconds)


def predicted(
    model: NamedModel,
    dataset: SampleSet,
    protocol: InferenceProtocol,
    workers: int,
    progress: Callable[[int, int], None],
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Predict every image: predicted and true classes, `(1, H, W)` on the device of the model, and the seconds of the
    prediction. Arguments and errors are those of `evaluate`.
    """
    classes = dataset.classes
    if len(classes) != model.config.classes or (model.classes and model.classes.names != classes.names):
        raise ValueError(
            f"dataset: expected the classes of the model, {_listed(model)}; got {', '.join(classes.names)}"
        )
    device = device_of(model)
    images = LabelledImages(dataset, EvalTransform(model.mean, model.std), range(len(dataset)))
    model.eval()
    for done, (image, label) in enumerate(DataLoader(images, num_workers=workers), 1):
        start = time.perf_counter()
        prediction = label_map(model, image.to(device), protocol)
        yield prediction, label.to(device), time.perf_counter() - start
        progress(done, len(images))


def device_of(model: Any) -> torch.device:
    """Where a model runs: its `device`, or that of its parameters if it does not say."""
    return model.device if hasattr(model, "device") else next(model.parameters()).device


def _listed(model: NamedModel) -> str:
    return ", ".join(model.classes.names) if model.classes else f"{model.config.classes} of them"
