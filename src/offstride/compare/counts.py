"""Counts of pixels in every image of a run, from which any score of any choice of images follows.

Shapes: N images, R regions (the whole image, then trimaps), C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from offstride.data import SampleSet
from offstride.data.sample import sample_name
from offstride.evaluate import WHOLE, predicted
from offstride.files import write_whole
from offstride.inference import InferenceProtocol
from offstride.inference.images import NamedModel
from offstride.metrics import BoundaryIoU, boundary_band, confusion_matrix
from offstride.ops.labels import IGNORE_INDEX

WIDTHS = (1, 2, 4, 8, 16)
"""Half-widths of trimaps, in pixels."""


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """Pixels of every class in every image.

    A trimap of half-width w holds the pixels that have another true class within w pixels (Kohli et al., IJCV 2009; the
    distance is the larger of rows and columns).

    Args:
        names: Names of the N images.
        widths: Half-widths of the R - 1 trimaps, in pixels.
        found: `(N, R, C)` int64 pixels of a class that the model predicts as such.
        predicted: `(N, R, C)` pixels that the model predicts as a class.
        labelled: `(N, R, C)` pixels of a class.
        band_found: `(N, C)` pixels of a class in both its boundary bands, the true and the predicted one.
        band_union: `(N, C)` pixels in either of them, see `BoundaryIoU`.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    found: np.ndarray
    predicted: np.ndarray
    labelled: np.ndarray
    band_found: np.ndarray
    band_union: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def save(self, path: Path) -> None:
        """Write a compressed `.npz` file atomically."""
        with write_whole(path) as temporary, temporary.open("wb") as file:
            arrays = {name: np.asarray(value) for name, value in vars(self).items()}
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: If the file is of another kind.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            names = tuple(str(name) for name in arrays.pop("names"))
            return cls(names, tuple(int(width) for width in arrays.pop("widths")), **arrays)
        except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"counts {path}: expected a file of counts of images ({error})") from error


def count_images(
    model: NamedModel,
    dataset: SampleSet,
    *,
    protocol: InferenceProtocol = WHOLE,
    widths: Sequence[int] = WIDTHS,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImageCounts:
    """Predict every image and count.

    Args:
        model: Left in evaluation mode; runs where its parameters are.
        dataset: Labelled images of the model's classes.
        protocol: How images are predicted; whole by default.
        widths: Half-widths of the trimaps, in pixels.
        workers: Processes that load data.
        progress: Called with the number of images done and their total.

    Raises:
        ValueError: If the data set has no images, other classes than the model, or a width is not positive.
    """
    if not len(dataset):
        raise ValueError("dataset: expected images, got none")
    if not all(width >= 1 for width in widths):
        raise ValueError(f"widths: expected positive numbers of pixels, got {(*widths,)}")
    count = len(dataset.classes)
    maps = predicted(model, dataset, protocol, workers, progress)
    rows = [count_pixels(prediction, label, count, widths) for prediction, label, _ in maps]
    names = tuple(sample_name(dataset, index) for index in range(len(dataset)))
    return ImageCounts(names, tuple(widths), *(np.stack(column) for column in zip(*rows, strict=True)))


def count_pixels(prediction: Tensor, label: Tensor, classes: int, widths: Sequence[int]) -> list[np.ndarray]:
    """Counts of one image from its `(1, H, W)` predicted and true classes: the arrays of `ImageCounts` without N."""
    regions = [label, *(_trimap(label, width) for width in widths)]
    tables = torch.stack([confusion_matrix(prediction, region, classes) for region in regions])
    boundary = BoundaryIoU(classes).to(label.device)
    boundary.update(prediction, label)
    correct = tables.diagonal(dim1=1, dim2=2)
    counts = (correct, tables.sum(1), tables.sum(2), boundary.intersection, boundary.union)
    return [part.cpu().numpy() for part in counts]


def _trimap(label: Tensor, width: int) -> Tensor:
    """The label map, with pixels ignored that are more than `width` away from another class."""
    valid = label != IGNORE_INDEX
    near = boundary_band(label * valid, width, valid=valid, frame=False)
    return torch.where(near, label, IGNORE_INDEX)
