"""The logit field: class scores on a coarse grid and a way to render any band of rows of the full-resolution map.

An upsampler returns a field instead of a (B, C, H, W) tensor. `dense()` renders it all; `pixel_losses`,
`cross_entropy`, `argmax`, `confidence` and `confusion` never hold more than a band of it, neither forward nor backward.
Kinds of field that have a fused form (bilinear, located) use it; the others are rendered in bands, and again backward.

Shapes: B batch, C classes, h×w coarse grid, H×W full resolution, M offset groups, R rows of a band.

A new kind of field says its `shape` and `values` and how to render `rows`; everything else then works for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from offstride.ops.argmax import upsample_argmax, upsample_confidence, upsample_confusion
from offstride.ops.argmax.reference import count_pairs
from offstride.ops.cross_entropy import fused_loss, fused_pixel_losses, operators
from offstride.ops.cross_entropy.labels import CheckedLabels, check_map, check_targets
from offstride.ops.cross_entropy.options import NO_TERMS, CrossEntropyOptions, Terms, check_ignored
from offstride.ops.cross_entropy.reference import pixel_cross_entropy
from offstride.ops.grid import Origin, check_origin, coordinate_dtype, same_grid, source_rows
from offstride.ops.interpolate import bilinear_map, bilinear_rows, nearest_rows
from offstride.ops.labels import IGNORE_INDEX, label_dtype
from offstride.ops.precision import without_autocast
from offstride.ops.sample import located_sample

BAND_BYTES = 8 << 20
"""Size of a rendered band in float32: small enough for a cache, large enough that the calls do not count."""

Across = Callable[[Tensor], Tensor]
"""Replaces a count of this process by its mean over all processes. Gradients averaged over the processes then are those
of the joined batch, however unevenly its valid pixels are shared out."""


class LogitField(ABC):
    """What is needed to render any rows of a `(B, C, H, W)` score map.

    Attributes:
        multiplies: Whether rendering is a product of matrices, which counts among the multiply-adds of a model.
    """

    multiplies: ClassVar[bool] = False

    @property
    @abstractmethod
    def shape(self) -> torch.Size:
        """`(B, C, H, W)` of the rendered map."""

    @property
    @abstractmethod
    def values(self) -> Tensor:
        """The coarse `(B, C, h, w)` scores that the field reads, or the features that it makes scores of."""

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

    def bands(self) -> Iterator[tuple[int, int]]:
        """Row ranges that cover the map, each of at most `BAND_BYTES` when rendered in float32, but of one row at
        least.
        """
        B, C, H, W = self.shape
        step = max(1, BAND_BYTES // (4 * B * C * W))
        return ((start, min(start + step, H)) for start in range(0, H, step))

    def pixel_losses(self, checked: CheckedLabels) -> Tensor:
        """`(B, H, W)` losses."""

        def band_loss(start: int, stop: int) -> Tensor:
            return pixel_cross_entropy(self.rows(start, stop), checked.labels[:, start:stop], **checked.options)

        recomputed = partial(checkpoint, band_loss, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([recomputed(*band) for band in self.bands()], 1)

    def loss(self, checked: CheckedLabels, divisor: Tensor) -> Tensor:
        """Sum of the losses over a 0-dim divisor."""
        return self.pixel_losses(checked).sum() / divisor

    def label_map(self) -> Tensor:
        """`(B, H, W)` most likely classes."""
        dtype = label_dtype(self.shape[1])
        return torch.cat([self.rows(*band).argmax(1).to(dtype) for band in self.bands()], 1)

    def confidence(self) -> Tensor:
        """`(B, H, W)` probabilities of the most likely classes."""

        def band_confidence(start: int, stop: int) -> Tensor:
            scores = self.rows(start, stop)
            return (scores.amax(1) - scores.logsumexp(1)).exp()

        return torch.cat([band_confidence(*band) for band in self.bands()], 1)

    def confusion(self, labels: Tensor, ignore_index: int) -> Tensor:
        """`(C, C)` counts, for uint8 or int64 labels of the map's size.

        Raises:
            ValueError: If a valid label is no class (looked at on a CPU only).
        """
        operators.label_weight(labels, None, self.shape[1], ignore_index)
        return count_pairs(labels, self.label_map(), self.shape[1], ignore_index)


@dataclass(frozen=True, eq=False)
class _ScoredField(LogitField):
    """A field of `(B, C, h, w)` scores."""

    scores: Tensor

    @property
    def values(self) -> Tensor:
        return self.scores


class _FusedField(LogitField):
    """A field that reads scores bilinearly, at displaced places or not: in fused form, nothing is rendered."""

    origin: Origin

    @abstractmethod
    def _reading(self) -> tuple[Tensor, Tensor | None]:
        """The coarse scores that are read, and the displacements if there are any."""

    def pixel_losses(self, checked: CheckedLabels) -> Tensor:
        return fused_pixel_losses(*self._reading(), checked.labels, origin=self.origin, **checked.options)

    def loss(self, checked: CheckedLabels, divisor: Tensor) -> Tensor:
        return self.location_loss(checked, divisor.expand(2), NO_TERMS)

    def location_loss(self, checked: CheckedLabels, divisors: Tensor, terms: Terms) -> Tensor:
        """The same with location-aware terms of displacements, over the `(2,)` divisors of the losses and the pull."""
        options = {"origin": self.origin, **terms, **checked.options}
        return fused_loss(*self._reading(), checked.labels, divisors, **options)

    def label_map(self) -> Tensor:
        scores, offsets = self._reading()
        return upsample_argmax(scores, self.shape[2:], offsets=offsets, origin=self.origin)

    def confidence(self) -> Tensor:
        scores, offsets = self._reading()
        return upsample_confidence(scores, self.shape[2:], offsets=offsets, origin=self.origin)

    def confusion(self, labels: Tensor, ignore_index: int) -> Tensor:
        scores, offsets = self._reading()
        return upsample_confusion(scores, labels, offsets=offsets, origin=self.origin, ignore_index=ignore_index)


@dataclass(frozen=True, eq=False)
class DenseField(_ScoredField):
    """Scores that are rendered already, or a coarse map seen at its own resolution."""

    @property
    def shape(self) -> torch.Size:
        return self.scores.shape

    def rows(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        return self.scores[:, :, start:stop].to(coordinate_dtype(self.scores.dtype))

    def pixel_losses(self, checked: CheckedLabels) -> Tensor:
        """At once: where all scores are there, bands would save little, and pad the gradient of each to the whole."""
        return pixel_cross_entropy(self.rows(0, self.shape[2]), checked.labels, **checked.options)


@dataclass(frozen=True, eq=False)
class BilinearField(_FusedField):
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

    def _reading(self) -> tuple[Tensor, None]:
        """The map that is upsampled; an inner field is rendered, on its own coarser grid."""
        source = self.source
        return source if isinstance(source, Tensor) else source.rows(0, source.shape[2]), None


@dataclass(frozen=True, eq=False)
class NearestField(_ScoredField):
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

    def rows(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        scores = nearest_rows(self.scores, self.size, (start, stop), origin=self.origin)
        return scores.to(coordinate_dtype(scores.dtype))


@dataclass(frozen=True, eq=False)
class LocatedField(_ScoredField, _FusedField):
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

    def rows(self, start: int, stop: int) -> Tensor:
        return located_sample(self.scores, self.offsets, origin=self.origin, rows=(start, stop))

    def _reading(self) -> tuple[Tensor, Tensor]:
        return self.scores, self.offsets


@dataclass(frozen=True, eq=False)
class SubpixelField(LogitField):
    """Every coarse pixel gives a window of r×r fine ones by one linear map, (Wz + μ) / T (DUpsampling, Eqs. 2 and 6).

    The windows cover the image and may reach beyond it at the bottom and the right.

    Args:
        codes: `(B, D, h, w)` coarse features z.
        weight: `(r, r, C, D)` matrix W: row of the window, column, class, feature.
        bias: `(r, r, C)` mean window μ.
        size: `(H, W)` of the image, at most `(r·h, r·w)`.
        temperature: 0-dim T, or None for 1.
    """

    codes: Tensor
    weight: Tensor
    bias: Tensor
    size: tuple[int, int]
    temperature: Tensor | None = None
    multiplies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_size(self.size)
        r, (h, w) = len(self.weight), self.codes.shape[2:]
        if self.size[0] > r * h or self.size[1] > r * w:
            raise ValueError(f"size: expected at most {(r * h, r * w)}, windows of {r} on {(h, w)}; got {self.size}")

    @property
    def shape(self) -> torch.Size:
        return torch.Size((self.codes.shape[0], self.weight.shape[2], *self.size))

    @property
    def values(self) -> Tensor:
        return self.codes

    def rows(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        r = len(self.weight)
        first, last = start // r, -(-stop // r)
        codes = self.codes[:, :, first:last].to(coordinate_dtype(self.codes.dtype))
        weight, bias = self.weight.flatten(0, 2)[:, :, None, None].to(codes), self.bias.flatten().to(codes)
        with without_autocast(codes.device.type):
            windows = F.conv2d(codes, weight, bias)
        if self.temperature is not None:
            windows = windows / self.temperature.to(codes)
        B, (h, w) = len(codes), codes.shape[2:]
        fine = windows.view(B, r, r, -1, h, w).permute(0, 3, 4, 1, 5, 2).reshape(B, -1, r * h, r * w)
        return fine[:, :, start - r * first : stop - r * first, : self.size[1]]


@dataclass(frozen=True, eq=False)
class CroppedField(LogitField):
    """The top left part of a field, of an image that was padded.

    Args:
        source: Field of shape `(B, C, H', W')`.
        size: `(H, W)` of the part, at most `(H', W')`.
    """

    source: LogitField
    size: tuple[int, int]

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.source.shape[:2], *self.size))

    @property
    def values(self) -> Tensor:
        return self.source.values

    def rows(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        return self.source.rows(start, stop)[..., : self.size[1]]

    def label_map(self) -> Tensor:
        return self.source.label_map()[:, : self.size[0], : self.size[1]]

    def confidence(self) -> Tensor:
        return self.source.confidence()[:, : self.size[0], : self.size[1]]


def pixel_losses(field: LogitField, labels: Tensor | CheckedLabels, **options: Unpack[CrossEntropyOptions]) -> Tensor:
    """Cross-entropy of every pixel of a field, without its full-resolution scores: `(B, H, W)`, 0 at ignored pixels.
    Arguments and errors as in `cross_entropy`.
    """
    return field.pixel_losses(check_labels(field, labels, **options))


def cross_entropy(
    field: LogitField,
    labels: Tensor | CheckedLabels,
    *,
    across: Across | None = None,
    **options: Unpack[CrossEntropyOptions],
) -> Tensor:
    """Mean cross-entropy of a field against full-resolution labels, without its full-resolution scores.

    Equals `torch.nn.functional.cross_entropy(field.dense(), labels)`, except that a batch without a valid pixel gives 0
    and zero gradients.

    Args:
        field: Scores of shape `(B, C, H, W)`.
        labels: `(B, H, W)` integer classes, or what `check_labels` made of them.
        across: Turns the number (or weight) of this batch's valid pixels into what the sum is divided by, see `Across`.
        **options: `weight`, `label_smoothing` and `ignore_index`; see `CrossEntropyOptions`.

    Returns:
        Scalar, float32 or better.

    Raises:
        ValueError: If labels or weights do not fit the field.
    """
    checked = check_labels(field, labels, **options)
    return field.loss(checked, divisor_of(checked.total, across))


def divisor_of(count: Tensor, across: Across | None = None) -> Tensor:
    """What a sum over `count` pixels is divided by for their mean; 1 where there are none: their sum stays 0."""
    count = count if across is None else across(count)
    return count.masked_fill(count == 0, 1)


@torch.no_grad()
def argmax(field: LogitField) -> Tensor:
    """Label map of a field: `(B, H, W)`, uint8 up to 256 classes and int64 above."""
    return field.label_map()


@torch.no_grad()
def confidence(field: LogitField) -> Tensor:
    """Softmax probability of the most likely class of every pixel: `(B, H, W)`, float32 or better."""
    return field.confidence()


@torch.no_grad()
def confusion(field: LogitField, labels: Tensor, *, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Pixels of every pair of true and predicted class: `(C, C)` int64, rows are true classes; ignored ones are not
    counted.

    Raises:
        ValueError: If labels do not fit the field.
    """
    check_ignored(ignore_index)
    B, _, H, W = field.shape
    return field.confusion(check_map(labels, (B, H, W), field.values.device), ignore_index)


def check_labels(
    field: LogitField, labels: Tensor | CheckedLabels, **options: Unpack[CrossEntropyOptions]
) -> CheckedLabels:
    """Check labels and options for the losses of a field, which take the result in place of labels and options.

    Raises:
        ValueError: If labels are no integer `(B, H, W)` map of the field's classes (values are looked at on a CPU
            only), or options do not fit; if checked labels are of another shape, or options are given beside them.
    """
    return check_targets(labels, field.shape, field.values.device, **options)


def _check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size: expected a positive (H, W), got {size}")


def resized(values: Tensor, size: Sequence[int]) -> Tensor:
    """`(B, C, h, w)` values on another grid `(H, W)`, finer or coarser, bilinearly; in the type of the values."""
    H, W = size
    return values if same_grid(values.shape[2:], size) else bilinear_map(values, (H, W), origin="center").to(values)
