"""The logit field: class scores on a coarse grid and a way to render any band of rows of the full-resolution map.

An upsampler returns a field instead of a (B, C, H, W) tensor. `dense()` renders it all; `pixel_losses`,
`cross_entropy`, `argmax` and `confidence` go over it in bands, so that no full-resolution score tensor exists, neither
forward nor backward (each band is rendered again there).

Shapes: B batch, C classes, h×w coarse grid, H×W full resolution, M offset groups, R rows of a band.

A new kind of field says its `shape`, `device` and `dtype` and how to render `rows`; everything else then works for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from offstride.ops.cross_entropy import label_weight, pixel_cross_entropy
from offstride.ops.grid import Origin, check_origin, coordinate_dtype, source_rows
from offstride.ops.interpolate import bilinear_rows, nearest_rows
from offstride.ops.labels import IGNORE_INDEX, is_valid
from offstride.ops.sample import located_sample

BAND_BYTES = 8 << 20
"""Size of a rendered band in float32: small enough for a cache, large enough that the calls do not count."""

Across = Callable[[Tensor], Tensor]
"""Replaces a count of this process by its mean over all processes. Gradients averaged over the processes then are those
of the joined batch, however unevenly its valid pixels are shared out."""


class LogitField(ABC):
    """What is needed to render any rows of a `(B, C, H, W)` score map."""

    @property
    @abstractmethod
    def shape(self) -> torch.Size:
        """`(B, C, H, W)` of the rendered map."""

    @property
    @abstractmethod
    def values(self) -> Tensor:
        """The coarse `(B, C, h, w)` scores that the field reads."""

    @abstractmethod
    def rows(self, start: int, stop: int) -> Tensor:
        """Render rows `start … stop - 1`: `(B, C, stop - start, W)`, float32 or better, differentiable."""

    def check_rows(self, start: int, stop: int) -> None:
        """Raise a `ValueError` unless the map has these rows."""
        if not 0 <= start < stop <= self.shape[2]:
            raise ValueError(f"rows: expected 0 <= start < stop <= {self.shape[2]}, got {(start, stop)}")

    def dense(self) -> Tensor:
        """Render everything: `(B, C, H, W)` in the type of the coarse scores, differentiable."""
        return self.rows(0, self.shape[2]).to(self.values.dtype)

    def bands(self, band_bytes: int = BAND_BYTES) -> Iterator[tuple[int, int]]:
        """Row ranges that cover the map, each of at most `band_bytes` when rendered in float32, but of one row at
        least.
        """
        B, C, H, W = self.shape
        step = max(1, band_bytes // (4 * B * C * W))
        return ((start, min(start + step, H)) for start in range(0, H, step))


@dataclass(frozen=True, eq=False)
class DenseField(LogitField):
    """Scores that are rendered already, or a coarse map seen at its own resolution."""

    scores: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.scores.shape

    @property
    def values(self) -> Tensor:
        return self.scores

    def rows(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        return self.scores[:, :, start:stop].to(coordinate_dtype(self.scores.dtype))


@dataclass(frozen=True, eq=False)
class BilinearField(LogitField):
    """Bilinear upsampling of a coarse map, or of what another field renders (LaU followed by bilinear).

    Args:
        source: `(B, C, h, w)` scores or a field of that shape.
        size: `(H, W)` to render.
        origin: Pixel convention; `"center"` equals `interpolate(align_corners=False)`.
    """

    source: Tensor | LogitField
    size: tuple[int, int]
    origin: Origin = "center"

    def __post_init__(self) -> None:
        _check_size(self.size)
        check_origin(self.origin)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.source.shape[:2], *self.size))

    @property
    def values(self) -> Tensor:
        return self.source if isinstance(self.source, Tensor) else self.source.values

    def rows(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        coarse = self.source.shape[2]
        first, last = source_rows((start, stop), self.size[0], coarse, self.origin)
        band = self.source[:, :, first:last] if isinstance(self.source, Tensor) else self.source.rows(first, last)
        return bilinear_rows(band, self.size, (start, stop), origin=self.origin, coarse=coarse, first=first)


@dataclass(frozen=True, eq=False)
class NearestField(LogitField):
    """Nearest-neighbour upsampling of `(B, C, h, w)` scores to `(H, W)`; `"center"` is torch's `nearest-exact`,
    `"corner"` its `nearest`.
    """

    scores: Tensor
    size: tuple[int, int]
    origin: Origin = "center"

    def __post_init__(self) -> None:
        _check_size(self.size)
        check_origin(self.origin)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.scores.shape[:2], *self.size))

    @property
    def values(self) -> Tensor:
        return self.scores

    def rows(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        found = nearest_rows(self.scores, self.size, (start, stop), origin=self.origin)
        return found.to(coordinate_dtype(found.dtype))


@dataclass(frozen=True, eq=False)
class LocatedField(LogitField):
    """Location-aware upsampling (LaU, Eq. 2): coarse scores read at displaced positions.

    Args:
        scores: `(B, C, h, w)`.
        offsets: `(B, 2M, H, W)` displacements, (y, x) pairs in coarse pixels.
        origin: Where an undisplaced pixel reads.
    """

    scores: Tensor
    offsets: Tensor
    origin: Origin = "center"

    def __post_init__(self) -> None:
        check_origin(self.origin)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.scores.shape[:2], *self.offsets.shape[2:]))

    @property
    def values(self) -> Tensor:
        return self.scores

    def rows(self, start: int, stop: int) -> Tensor:
        return located_sample(self.scores, self.offsets, origin=self.origin, rows=(start, stop))


def pixel_losses(
    field: LogitField,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
    band_bytes: int = BAND_BYTES,
) -> Tensor:
    """Cross-entropy of every pixel of a field, band by band; each band is rendered again in the backward pass and then
    forgotten.

    Args:
        field: Scores of shape `(B, C, H, W)`.
        labels: `(B, H, W)` integer classes.
        weight: `(C,)` class weights.
        label_smoothing: Share of the target spread over all classes, as in `torch.nn.functional.cross_entropy`.
        ignore_index: Label of pixels that do not count.
        band_bytes: Memory of a rendered band.

    Returns:
        `(B, H, W)` losses, 0 at ignored pixels.

    Raises:
        ValueError: If labels or weights do not fit the field.
    """
    check_labels(field, labels, ignore_index)
    if weight is not None and weight.shape != (field.shape[1],):
        raise ValueError(f"weight: expected shape ({field.shape[1]},), one per class, got {tuple(weight.shape)}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing: expected a share in [0, 1), got {label_smoothing}")

    def band_loss(start: int, stop: int) -> Tensor:
        return pixel_cross_entropy(
            field.rows(start, stop),
            labels[:, start:stop],
            weight=weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
        )

    return torch.cat([_recomputed(band_loss, *band) for band in field.bands(band_bytes)], 1)


def cross_entropy(
    field: LogitField,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
    across: Across | None = None,
    band_bytes: int = BAND_BYTES,
) -> Tensor:
    """Mean cross-entropy of a field against full-resolution labels, without its full-resolution scores.

    Equals `torch.nn.functional.cross_entropy(field.dense(), labels)`, except that a batch without a valid pixel gives 0
    and zero gradients.

    Args:
        field: Scores of shape `(B, C, H, W)`.
        labels: `(B, H, W)` integer classes.
        weight: `(C,)` class weights; the mean is then over weights, as in torch.
        label_smoothing: Share of the target spread over all classes.
        ignore_index: Label of pixels that do not count.
        across: Turns the number (or weight) of this batch's valid pixels into what the sum is divided by, see `Across`.
        band_bytes: Memory of a rendered band.

    Returns:
        Scalar, float32 or better.

    Raises:
        ValueError: If labels or weights do not fit the field.
    """
    losses = pixel_losses(
        field, labels, weight=weight, label_smoothing=label_smoothing, ignore_index=ignore_index, band_bytes=band_bytes
    )
    return mean_over(losses.sum(), label_weight(labels, weight=weight, ignore_index=ignore_index), across)


def mean_over(total: Tensor, count: Tensor, across: Across | None = None) -> Tensor:
    """Divide a sum by a scalar count, or leave it where the count is 0: a sum over nothing stays 0."""
    count = count if across is None else across(count)
    return total / count.masked_fill(count == 0, 1)


@torch.no_grad()
def argmax(field: LogitField, *, band_bytes: int = BAND_BYTES) -> Tensor:
    """Label map of a field: `(B, H, W)`, uint8 up to 256 classes and int64 above."""
    dtype = torch.uint8 if field.shape[1] <= 256 else torch.int64
    return torch.cat([field.rows(*band).argmax(1).to(dtype) for band in field.bands(band_bytes)], 1)


@torch.no_grad()
def confidence(field: LogitField, *, band_bytes: int = BAND_BYTES) -> Tensor:
    """Softmax probability of the most likely class of every pixel: `(B, H, W)`, float32 or better."""

    def band_confidence(start: int, stop: int) -> Tensor:
        scores = field.rows(start, stop)
        return (scores.amax(1) - scores.logsumexp(1)).exp()

    return torch.cat([band_confidence(*band) for band in field.bands(band_bytes)], 1)


def check_labels(field: LogitField, labels: Tensor, ignore_index: int) -> None:
    """Raise a `ValueError` unless labels are an integer `(B, H, W)` map of the field's classes (values are looked at on
    a CPU only).
    """
    B, C, H, W = field.shape
    if labels.shape != (B, H, W):
        raise ValueError(f"labels: expected shape {(B, H, W)} of the field, got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected an integer type, got {labels.dtype}")
    if labels.device.type == "cpu":  # elsewhere the look would wait for the device, which checks by itself
        wrong = labels[is_valid(labels, ignore_index) & ((labels < 0) | (labels >= C))]
        if len(wrong):
            raise ValueError(
                f"labels: expected classes 0 … {C - 1} or {ignore_index} (ignored), got {wrong.unique().tolist()[:5]}"
            )


def _check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size: expected a positive (H, W), got {size}")


def _recomputed(function: Callable[[int, int], Tensor], start: int, stop: int) -> Tensor:
    return checkpoint(function, start, stop, use_reentrant=False, preserve_rng_state=False)
