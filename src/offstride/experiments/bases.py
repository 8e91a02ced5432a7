"""The basis of DUpsampling, learned from the labels of a data set."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

from torch import Tensor

from offstride.data import LabelMaps, SampleSet
from offstride.evaluate import LabelShards
from offstride.ops.label_basis import LabelCovariance
from offstride.upsamplers import LabelAutoencoder, LabelBasis, fit_label_autoencoder, fit_label_basis, fit_label_windows

Method = Literal["pca", "sgd", "autoencoder"]
Report = Callable[[int, int], None]
"""Progress callback: `report(done, total)`."""


def fit_basis(dataset: SampleSet, scale: int, channels: int, progress: Report = lambda done, total: None) -> LabelBasis:
    """The optimal basis for the label windows of a data set.

    Args:
        dataset: Data set with the labels.
        scale: Width r of a window, in pixels.
        channels: Number of channels of the code.
        progress: Progress callback, first over label maps, then over the steps of the fit.
    """
    maps = LabelMaps(dataset)

    def reported() -> Iterator[Tensor]:
        for index in range(len(maps)):
            yield maps[index]
            progress(index + 1, len(maps))

    return fit_label_basis(reported(), scale=scale, classes=len(maps.classes), channels=channels, progress=progress)


def fit_windows(
    shards: LabelShards, method: Method, *, hidden: int, tolerance: float, **options: Any
) -> tuple[LabelBasis | LabelAutoencoder, LabelCovariance]:
    """A basis or an auto-encoder learned from encoded label windows, and the statistics of the windows.

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
