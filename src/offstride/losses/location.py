"""What the two location-aware losses share: where a field reads, and how their sums become means."""

from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from offstride.field import Across, BilinearField, LocatedField, LogitField, divisor_of
from offstride.ops.cross_entropy.labels import CheckedLabels
from offstride.ops.grid import Origin, coordinate_dtype
from offstride.ops.interpolate import bilinear_rows

Normalize = Literal["valid", "all"]


class Located(NamedTuple):
    """Coarse `(B, C, h, w)` scores and the `(B, 2M, H, W)` displacements at which every pixel of the supervised map
    reads them.
    """

    scores: Tensor
    offsets: Tensor
    origin: Origin


def located(field: LogitField) -> Located:
    """Displacements of a location-aware field at the resolution of the field.

    For LaU followed by bilinear upsampling they are the offsets upsampled bilinearly: as base coordinates are affine,
    this is where the composed field reads, to first order and up to clamping.

    Raises:
        ValueError: If the field reads no displaced positions.
    """
    if isinstance(field, LocatedField):
        offsets = field.offsets.to(coordinate_dtype(field.offsets.dtype))
        return Located(field.scores, offsets, field.origin)
    if isinstance(field, BilinearField) and isinstance(field.source, LocatedField):
        inner, size = field.source, field.size
        offsets = bilinear_rows(inner.offsets, size, (0, size[0]), origin=field.origin, coarse=inner.offsets.shape[2])
        return Located(inner.scores, offsets, inner.origin)
    raise ValueError(
        f"field: expected location-aware upsampling, got {type(field).__name__}; location losses need offsets"
    )


def undisplaced(field: LogitField) -> LogitField:
    """The same field with all offsets 0: plain bilinear upsampling, rendered by the same steps, so that a pixel that
    stays put ties with it to the last bit.
    """
    if isinstance(field, BilinearField) and isinstance(field.source, LocatedField):
        return replace(field, source=undisplaced(field.source))
    if isinstance(field, LocatedField):
        B, _, H, W = field.offsets.shape
        return replace(field, offsets=field.offsets.new_zeros(()).expand(B, 2, H, W))
    raise ValueError(
        f"field: expected location-aware upsampling, got {type(field).__name__}; location losses need offsets"
    )


def divisor(normalize: Normalize, checked: CheckedLabels, count: Tensor, across: Across | None) -> Tensor:
    """What a sum over pixels is divided by: the valid ones (`count`), or all as in the released code."""
    if normalize not in get_args(Normalize):
        raise ValueError(f"normalize: expected one of {get_args(Normalize)}, got {normalize!r}")
    return torch.full_like(count, checked.labels.numel()) if normalize == "all" else divisor_of(count, across)
