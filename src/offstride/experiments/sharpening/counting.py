"""Counts of all methods over a data set; the frozen network runs once for each image.

Shapes: N images, H×W image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from offstride.compare import WIDTHS, ImageCounts, count_pixels
from offstride.data import EvalTransform, SampleSet
from offstride.data.sample import sample_name
from offstride.evaluate import LabelledImages
from offstride.experiments.sharpening.frozen import Frozen
from offstride.experiments.sharpening.methods import Method
from offstride.field import argmax
from offstride.ops.labels import IGNORE_INDEX


@dataclass(frozen=True, eq=False)
class Counted:
    """What is known of a method after all images.

    Args:
        counts: Of every image.
        changes: `(N, 5)` pixels: all, and those whose label differs from that of the first method: right now, wrong
            now, still wrong, without a true label.
    """

    counts: ImageCounts
    changes: np.ndarray


def count_methods(
    methods: Sequence[Method],
    frozen: Frozen,
    dataset: SampleSet,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Counted]:
    """Predict every image with every method, and count.

    Args:
        methods: The methods; the first is what changes are told from.
        frozen: The model.
        dataset: Labelled images of the model's classes.
        workers: Processes that load data.
        progress: Called with the number of images done and their total.

    Raises:
        ValueError: If the data set has no images or other classes than the model.
    """
    if not len(dataset):
        raise ValueError("dataset: expected images, got none")
    frozen.check_classes(dataset.classes)
    images = LabelledImages(dataset, EvalTransform(frozen.model.mean, frozen.model.std), range(len(dataset)))
    rows: list[list[list[np.ndarray]]] = [[] for _ in methods]
    for done, (image, label) in enumerate(DataLoader(images, num_workers=workers), 1):
        image, label = image.to(frozen.device), label.to(frozen.device)
        maps = predict_all(methods, frozen, image)
        for row, prediction in zip(rows, maps, strict=True):
            counts = count_pixels(prediction, label, len(dataset.classes), WIDTHS)
            row.append([*counts, changed_pixels(maps[0], prediction, label)])
        progress(done, len(images))
    names = tuple(sample_name(dataset, index) for index in range(len(dataset)))
    columns = [[np.stack(part) for part in zip(*row, strict=True)] for row in rows]
    return [Counted(ImageCounts(names, WIDTHS, *arrays), changes) for *arrays, changes in columns]


@torch.no_grad()
def predict_all(methods: Sequence[Method], frozen: Frozen, images: Tensor) -> list[Tensor]:
    """`(B, H, W)` labels of every method."""
    coarse = frozen.coarse(images)
    return [argmax(method.field(frozen, images, coarse)) for method in methods]


def changed_pixels(before: Tensor, after: Tensor, label: Tensor) -> np.ndarray:
    """The row of `Counted.changes` of an image, from `(1, H, W)` predictions and true classes."""
    known, changed = label != IGNORE_INDEX, before != after
    now, then = changed & known & (after == label), changed & known & (before == label)
    parts = (torch.ones_like(known), now, then, changed & known & ~now & ~then, changed & ~known)
    return np.array([int(part.sum()) for part in parts])
