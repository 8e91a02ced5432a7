"""Labels of one image from its pixels, as `Segmenter.predict` and `offstride predict` give them."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from offstride.field import LogitField, argmax, confidence
from offstride.inference.protocol import InferenceProtocol
from offstride.inference.sliding import Read, predict_bands
from offstride.ops.pixels import IMAGENET_MEAN, IMAGENET_STD, check_statistics, normalize


class Pixels(Protocol):
    """An `(H, W, 3)` uint8 array, or an object that is sliced like one, such as `offstride.data.ImageWindows`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> np.ndarray: ...


class ImageModel(Protocol):
    """A model that says how images are normalised, such as `Segmenter` and `ExportedModel`."""

    @property
    def mean(self) -> Sequence[float]: ...

    @property
    def std(self) -> Sequence[float]: ...

    @property
    def device(self) -> torch.device: ...

    def field(self, images: Tensor, /) -> LogitField: ...


class NamedModel(ImageModel, Protocol):
    """One that also knows its classes."""

    @property
    def mean(self) -> tuple[float, float, float]: ...

    @property
    def std(self) -> tuple[float, float, float]: ...

    @property
    def config(self) -> Any: ...

    @property
    def classes(self) -> Any: ...

    def eval(self) -> Any: ...


@torch.no_grad()
def predict_pixels(
    model: ImageModel, pixels: Pixels, protocol: InferenceProtocol, *, confidences: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Labels of an image, and the confidence of the model in them.

    At a single scale, windows are read and predicted one by one: neither the image nor its scores need fit into memory.

    Args:
        model: In evaluation mode.
        pixels: `(H, W, 3)` uint8, RGB; an array, or an object that is sliced like one.
        protocol: How images are predicted.
        confidences: Also return the probabilities of the labels.

    Returns:
        `(H, W)` labels, uint8 up to 256 classes and int64 above, and `(H, W)` probabilities or None, on the CPU.

    Raises:
        ValueError: If the pixels have another shape or cannot be read.
    """
    H, W = pixels.shape[:2]
    read = pixel_reader(pixels, model.mean, model.std, model.device)
    if protocol.window is None or not protocol.in_windows:
        field = protocol.field(model.field, read(slice(0, H), slice(0, W))[None])
        return argmax(field)[0].cpu(), confidence(field)[0].cpu() if confidences else None
    bands = predict_bands(
        model.field,
        read,
        (H, W),
        window=protocol.window,
        overlap=protocol.overlap,
        flip=protocol.flip,
        reduce=protocol.reduce,
        confidences=confidences,
    )
    labels, *rest = _stacked(bands, (H, W))
    return labels, rest[0] if confidences else None


def _stacked(bands: Iterable[Sequence[Tensor]], size: tuple[int, int]) -> list[Tensor]:
    """Maps on the CPU, from bands below each other; each band is freed as soon as it is copied."""
    maps: list[Tensor] = []
    row = 0
    for band in bands:
        maps = maps or [torch.empty(size, dtype=part.dtype) for part in band]
        for whole, part in zip(maps, band, strict=True):
            whole[row : row + len(part)] = part
        row += len(band[0])
    return maps


def pixel_reader(
    pixels: Pixels,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    device: torch.device | str = "cpu",
) -> Read:
    """A reader for `label_sliding`, which copies and normalises only the parts of the image that are read.

    Args:
        pixels: `(H, W, 3)` uint8, RGB; a memory-mapped array (`np.load(path, mmap_mode="r")`) is read from disk.
        mean: Mean of each colour channel, in 0 … 1 units.
        std: Standard deviation of each colour channel, in 0 … 1 units.
        device: Device of the model.

    Returns:
        From rows and columns to a `(3, h, w)` float32 tensor.

    Raises:
        ValueError: If the array has another shape, or mean and deviation are not three numbers each.
    """
    if len(pixels.shape) != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels: expected (H, W, 3), got {tuple(pixels.shape)}")
    check_statistics(mean, std)

    def read(rows: slice, columns: slice) -> Tensor:
        part = torch.from_numpy(np.array(pixels[rows, columns])).permute(2, 0, 1)
        return normalize(part, mean, std).to(device)

    return read
