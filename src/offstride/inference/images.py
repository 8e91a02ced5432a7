"""Labels of one image from its pixels, as `Segmenter.predict` and `offstride predict` give them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from offstride.field import LogitField, argmax, confidence
from offstride.inference.pixels import Pixels, pixel_reader
from offstride.inference.protocol import InferenceProtocol
from offstride.inference.sliding import predict_bands


class ImageModel(Protocol):
    """A model that says how images are normalised, such as `Segmenter` and `ExportedModel`."""

    @property
    def mean(self) -> Sequence[float]: ...

    @property
    def std(self) -> Sequence[float]: ...

    @property
    def device(self) -> torch.device: ...

    def field(self, images: Tensor, /) -> LogitField: ...


@torch.no_grad()
def predict_pixels(
    model: ImageModel, pixels: Pixels, protocol: InferenceProtocol, *, confidences: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Labels of an image, and how sure the model is of them.

    Windows of an image of its own size are read and predicted one by one, so that neither it nor its scores need fit
    into memory.

    Args:
        model: In evaluation mode.
        pixels: `(H, W, 3)` uint8, RGB; an array or what can be sliced like one.
        protocol: How images are predicted.
        confidences: Give the probabilities of the labels, too.

    Returns:
        `(H, W)` labels, uint8 up to 256 classes and int64 above, and `(H, W)` probabilities if asked for, on the CPU.

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
    """Bands of several maps below each other, on the CPU; each is let go as soon as it is copied."""
    maps: list[Tensor] = []
    row = 0
    for band in bands:
        maps = maps or [torch.empty(size, dtype=part.dtype) for part in band]
        for whole, part in zip(maps, band, strict=True):
            whole[row : row + len(part)] = part
        row += len(band[0])
    return maps
