"""What DUpsampling decodes with, learned from the labels of a data set."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

from torch import Tensor

from offstride.data import LabelMaps, SampleSet
from offstride.evaluate import LabelShards
from offstride.ops.label_basis import LabelCovariance
from offstride.upsamplers import (
    LabelAutoencoder,
    LabelBasis,
    fit_label_autoencoder,
    fit_label_basis,
    fit_label_windows,
)

Report = Callable[[int, int], None]


def fit_basis(dataset: SampleSet, scale: int, channels: int, progress: Report = lambda done, total: None) -> LabelBasis:
    """The best basis of so many channels for windows of the labels of a data set.

    Args:
        dataset: Whose labels it is fitted to.
        scale: Window r, in pixels.
        channels: Of the code.
        progress: Progress callback, first over label maps, then over the steps of the fit.
    """
    maps = _reported(LabelMaps(dataset), progress)
    return fit_label_basis(maps, scale=scale, classes=len(dataset.classes), channels=channels, progress=progress)


def _reported(maps: LabelMaps, progress: Report) -> Iterator[Tensor]:
    for index in range(len(maps)):
        yield maps[index]
        progress(index + 1, len(maps))


def fit_windows(
    shards: LabelShards, method: Literal["pca", "sgd", "autoencoder"], *, hidden: int, tolerance: float, **options: Any
) -> tuple[LabelBasis | LabelAutoencoder, LabelCovariance]:
    """What is learned from encoded label windows, and the statistics that it is learned from.

    Args:
        shards: The windows, see `encode_dataset`.
        method: `"pca"` (the optimum in closed form), `"sgd"` (the same by gradient descent), or `"autoencoder"`.
        hidden: Hidden units of the auto-encoder.
        tolerance: Of `"pca"`: residual of the eigenvectors over the largest eigenvalue.
        **options: `channels`, `steps`, `seed`, `progress`; see `fit_label_windows`.

    Raises:
        ValueError: If an option is out of range.
    """
    covariance = LabelCovariance(shards)
    if method == "autoencoder":
        return fit_label_autoencoder(covariance, hidden=hidden, **options), covariance
    return fit_label_windows(covariance, method=method, tolerance=tolerance, **options), covariance
