"""Rendering of whole fields for export: in operators that every runtime knows, for images of any size.

`LogitField.rows` renders bands from just the coarse rows that they need. An exported graph renders everything at once
instead: interpolation is one resize, location-aware sampling one `grid_sample`, a window of fine pixels one convolution
and a pixel shuffle. A new kind of field registers its rendering in its own file, with `@render.register`.

Shapes: B batch, C classes, h×w coarse grid, H×W image, M offset groups. Every size may be a symbol of `torch.export`:
nothing here branches on one.
"""

from functools import singledispatch
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.field import (
    BilinearField,
    CroppedField,
    DenseField,
    LocatedField,
    LogitField,
    NearestField,
    SubpixelField,
)
from offstride.ops.crop import top_left
from offstride.ops.grid import Origin, nearest
from offstride.ops.interpolate import whole_bilinear


@singledispatch
def render(field: LogitField) -> Tensor:
    """All scores of a field: `(B, C, H, W)`, equal to `field.dense()` up to rounding.

    A kind that is not registered is rendered by its own `dense`, which may fix the size of the image.
    """
    return field.dense()


@render.register
def _dense(field: DenseField) -> Tensor:
    return field.scores


@render.register
def _bilinear(field: BilinearField) -> Tensor:
    coarse = field.source if isinstance(field.source, Tensor) else render(field.source)
    return whole_bilinear(coarse, field.size, field.origin)


@render.register
def _cropped(field: CroppedField) -> Tensor:
    return top_left(render(field.source), field.size)


@render.register
def _nearest(field: NearestField) -> Tensor:
    (h, w), (H, W) = field.scores.shape[2:], field.size
    y, x = (nearest(fine, n, field.origin, device=field.scores.device) for fine, n in ((H, h), (W, w)))
    return field.scores.index_select(2, y).index_select(3, x)


@render.register
def _located(field: LocatedField) -> Tensor:
    B, C, h, w = field.scores.shape
    M, (H, W) = field.offsets.shape[1] // 2, field.offsets.shape[2:]
    offsets = field.offsets.unflatten(1, (M, 2)).flatten(0, 1)
    y = offsets[:, 0] + _places(H, h, field.origin, offsets)[:, None]
    x = offsets[:, 1] + _places(W, w, field.origin, offsets)
    grid = torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), -1)
    maps = field.scores.to(offsets.dtype).unflatten(1, (M, C // M)).flatten(0, 1)
    # the border mode clamps, so that the pixel convention of the grid needs no map of more than one pixel
    read = F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return read.unflatten(0, (B, M)).flatten(1, 2)


@render.register
def _subpixel(field: SubpixelField) -> Tensor:
    r, _, C, D = field.weight.shape
    weight = field.weight.permute(2, 0, 1, 3).reshape(C * r * r, D, 1, 1)
    windows = F.conv2d(field.codes, weight, field.bias.permute(2, 0, 1).flatten())
    if field.temperature is not None:
        windows = windows / field.temperature
    return top_left(F.pixel_shuffle(windows, r), field.size)


def _places(fine: int, coarse: int, origin: Origin, like: Tensor) -> Tensor:
    """`(fine,)` coarse coordinates, see `offstride.ops.grid`."""
    index = torch.arange(fine, dtype=like.dtype, device=like.device)
    if origin == "center":
        return (2 * index + 1) * coarse / (2 * fine) - 0.5
    if origin == "aligned":
        gaps: Any = torch.sym_max(fine - 1, 1)
        return index * (coarse - 1) / gaps
    return index * coarse / fine
