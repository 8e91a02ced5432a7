"""Bilinear and nearest upsampling of a band of rows.

Shapes: values (B, C, h, w) on the coarse grid, result (B, C, R, W): rows `start … stop - 1` of an H×W map, R = stop -
start.

Convention: as in `offstride.ops.grid`; `origin="center"` equals `interpolate(align_corners=False)`, `"aligned"`
`interpolate(align_corners=True)`. No factor is assumed: sizes are explicit.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.grid import Origin, base_coordinates, coordinate_dtype, nearest, neighbors


def bilinear_rows(
    band: Tensor, size: tuple[int, int], rows: tuple[int, int], *, origin: Origin, coarse: int, first: int = 0
) -> Tensor:
    """Bilinear upsampling of some rows from just the coarse rows they need.

    Args:
        band: `(B, C, n, w)`: coarse rows `first … first + n - 1`, which must cover `source_rows(rows, …)`.
        size: `(H, W)` of the whole fine map.
        rows: Half-open range of fine rows.
        origin: Pixel convention.
        coarse: Height h of the whole coarse map.
        first: Coarse row at which `band` begins.

    Returns:
        `(B, C, stop - start, W)`, float32 or better.
    """
    band = band.to(coordinate_dtype(band.dtype))
    if origin != "corner" and tuple(rows) == (0, size[0]) and band.shape[2] == coarse:
        return _interpolate(band, size, origin)
    low, high = neighbors(size[0], coarse, origin, rows=rows, device=band.device)
    y = base_coordinates(size[0], coarse, origin, rows=rows, device=band.device, dtype=band.dtype)
    fraction = (y.clamp(0, coarse - 1) - low).unsqueeze(1)
    tall = torch.lerp(band[:, :, low - first], band[:, :, high - first], fraction)
    if origin != "corner":  # rows are done and stay as they are; the library's kernel does the columns
        return _interpolate(tall, (tall.shape[2], size[1]), origin)
    width = band.shape[3]
    left, right = neighbors(size[1], width, origin, device=band.device)
    x = base_coordinates(size[1], width, origin, device=band.device, dtype=band.dtype)
    return torch.lerp(tall[..., left], tall[..., right], x.clamp(0, width - 1) - left)


def _interpolate(values: Tensor, size: tuple[int, int], origin: Origin) -> Tensor:
    """The library's kernel, for the conventions that it has."""
    return F.interpolate(values, size, mode="bilinear", align_corners=origin == "aligned")


def bilinear_map(values: Tensor, size: tuple[int, int], *, origin: Origin) -> Tensor:
    """Bilinear upsampling of a whole `(B, C, h, w)` map to `(B, C, H, W)`, float32 or better.

    Sizes may be symbols of `torch.export`: then by operators that take them as they are.
    """
    if all(isinstance(length, int) for length in (*values.shape[2:], *size)):
        return bilinear_rows(values, size, (0, size[0]), origin=origin, coarse=values.shape[2])
    return whole_bilinear(values.to(coordinate_dtype(values.dtype)), size, origin)


def whole_bilinear(values: Tensor, size: tuple[int, int], origin: Origin) -> Tensor:
    """Bilinear upsampling of `(B, C, h, w)` values in standard operators: one resize, or reading along both axes."""
    if origin != "corner":
        return _interpolate(values, size, origin)
    return _lerp(_lerp(values, size[0], 2), size[1], 3)


def _lerp(values: Tensor, fine: int, axis: int) -> Tensor:
    """One axis of the interpolation from pixel corners."""
    coarse = values.shape[axis]
    place = torch.arange(fine, dtype=values.dtype, device=values.device) * coarse / fine
    low = place.floor()
    near = values.index_select(axis, low.long())
    far = values.index_select(axis, (low.long() + 1).clamp(max=coarse - 1))
    fraction = (place - low)[:, None] if axis == 2 else place - low
    return near + fraction * (far - near)


def nearest_rows(values: Tensor, size: tuple[int, int], rows: tuple[int, int], *, origin: Origin) -> Tensor:
    """Rows of the nearest-neighbour upsampling of `(B, C, h, w)` values, which also resamples label maps `(B, h, w)` or
    coarser.
    """
    y = nearest(size[0], values.shape[-2], origin, rows=rows, device=values.device)
    x = nearest(size[1], values.shape[-1], origin, device=values.device)
    return values[..., y, :][..., x]
