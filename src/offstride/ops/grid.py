"""Pixel grids: the one place that knows origins, (y, x) order, clamping and normalised coordinates.

Shapes: a fine axis of `fine` pixels lies over a coarse axis of `coarse` pixels; the factor between them need not be
whole.

Convention: coordinates are (y, x), in coarse pixels; pixel `i` of the coarse map sits at coordinate `i`. `origin` says
which coarse coordinate belongs to the fine pixel `i`:

- `"center"`: `(i + 1/2) * coarse / fine - 1/2`. Pixel centres coincide, as in `interpolate(align_corners=False)`.
- `"corner"`: `i * coarse / fine`. The convention of the LaU release: with zero offsets the last pixels repeat the edge.
- `"aligned"`: `i * (coarse - 1) / (fine - 1)`, 0 for a single fine pixel. The first and the last pixels coincide, as in
  `interpolate(align_corners=True)`: for models that were trained so.

Coordinates outside the map are clamped to its edge. They are rationals with a known denominator, so floor and ceiling
are taken in integers and a coordinate that is whole is whole in floating point too.
"""

from collections.abc import Sequence
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor

Origin = Literal["center", "corner", "aligned"]


def check_origin(origin: str) -> None:
    """Raise a `ValueError` unless `origin` is a known convention."""
    if origin not in get_args(Origin):
        raise ValueError(f"origin: expected one of {get_args(Origin)}, got {origin!r}")


def same_grid(size: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two (H, W) are the same.

    Where `torch.export` leaves them open they are symbols, and the same only if they are for all images: to resample a
    map bilinearly to its own grid changes nothing, and a graph that does so is right for all.
    """
    if all(isinstance(length, int) for length in (*size, *other)):
        return tuple(size) == tuple(other)
    from torch.fx.experimental.symbolic_shapes import statically_known_true  # slow to import

    return all(statically_known_true(one == two) for one, two in zip(size, other, strict=True))


def coordinate_dtype(dtype: torch.dtype) -> torch.dtype:
    """Precision of coordinates beside tensors of `dtype`: never below float32, which half precision would spoil beyond
    256 pixels.
    """
    return torch.promote_types(dtype, torch.float32)


Index = TypeVar("Index", int, Tensor)


def _ratio(index: Index, fine: int, coarse: int, origin: Origin) -> tuple[Index, int]:
    """Numerator and denominator of the coarse coordinate of a fine pixel, or of many as an int64 tensor."""
    if origin == "center":
        return (2 * index + 1) * coarse - fine, 2 * fine
    if origin == "corner":
        return index * coarse, fine
    return index * (coarse - 1), max(fine - 1, 1)


def pixel_step(fine: int, coarse: int, origin: Origin) -> float:
    """Distance of neighbouring fine pixels in coarse ones."""
    return (coarse - 1) / max(fine - 1, 1) if origin == "aligned" else coarse / fine


def origin_code(origin: Origin) -> int:
    """The number by which compiled kernels know a convention: its place in the list of them."""
    return get_args(Origin).index(origin)


def base_coordinates(
    fine: int,
    coarse: int,
    origin: Origin,
    *,
    rows: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Coarse coordinates, before clamping, of fine pixels along one axis.

    Args:
        fine: Number of fine pixels.
        coarse: Number of coarse pixels.
        origin: Pixel convention, see the head of this file.
        rows: Half-open range of fine pixels; all of them by default.
        device: Where the result lives.
        dtype: Floating-point type of the result.

    Returns:
        `(stop - start,)` coordinates in coarse pixels.
    """
    index = torch.arange(*(rows or (0, fine)), device=device)
    numerator, denominator = _ratio(index, fine, coarse, origin)
    whole = numerator.div(denominator, rounding_mode="floor")
    return whole.to(dtype) + (numerator - whole * denominator).to(dtype) / denominator


def neighbors(
    fine: int, coarse: int, origin: Origin, *, rows: tuple[int, int] | None = None, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Floor and ceiling of the undisplaced coordinates, clamped to the map: two `(stop - start,)` int64 tensors."""
    index = torch.arange(*(rows or (0, fine)), device=device)
    numerator, denominator = _ratio(index, fine, coarse, origin)
    low = numerator.div(denominator, rounding_mode="floor")
    high = low + (low * denominator != numerator)
    return low.clamp(0, coarse - 1), high.clamp(0, coarse - 1)


def source_rows(rows: tuple[int, int], fine: int, coarse: int, origin: Origin) -> tuple[int, int]:
    """Half-open range of coarse rows that a band of fine rows reads bilinearly."""
    first, denominator = _ratio(rows[0], fine, coarse, origin)
    last, _ = _ratio(rows[1] - 1, fine, coarse, origin)
    return max(first // denominator, 0), min(-(-last // denominator), coarse - 1) + 1


def nearest(
    fine: int, coarse: int, origin: Origin, *, rows: tuple[int, int] | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """Nearest coarse pixel of each fine pixel: `interpolate(mode="nearest-exact")` for `"center"`, `mode="nearest"` for
    `"corner"`; for `"aligned"`, which torch has not, the upper one of two that are as near.
    """
    index = torch.arange(*(rows or (0, fine)), device=device)
    numerator, denominator = _ratio(index, fine, coarse, origin)
    if origin == "corner":
        return numerator.div(denominator, rounding_mode="floor")
    return (2 * numerator + denominator).div(2 * denominator, rounding_mode="floor")


def located_coordinates(
    offsets: Tensor, coarse: tuple[int, int], origin: Origin, *, rows: tuple[int, int] | None = None
) -> Tensor:
    """Where location-aware upsampling reads: base coordinates plus offsets, not yet clamped (LaU, Eq. 2).

    Args:
        offsets: `(B, 2M, H, W)` displacements in coarse pixels; channels `2m` and `2m + 1` are the (y, x) pair of group
            `m`.
        coarse: `(h, w)` of the map that is read.
        origin: Pixel convention.
        rows: Half-open range of fine rows; all of them by default.

    Returns:
        `(B, M, 2, R, W)` coordinates, float32 at least.
    """
    B, channels, H, W = offsets.shape
    start, stop = rows or (0, H)
    dtype = coordinate_dtype(offsets.dtype)
    band = offsets[:, :, start:stop].to(dtype).reshape(B, channels // 2, 2, stop - start, W)
    y = base_coordinates(H, coarse[0], origin, rows=(start, stop), device=offsets.device, dtype=dtype)
    x = base_coordinates(W, coarse[1], origin, device=offsets.device, dtype=dtype)
    return torch.stack((band[:, :, 0] + y[:, None], band[:, :, 1] + x), 2)


def clamp_to_map(coordinates: Tensor, coarse: tuple[int, int]) -> Tensor:
    """Clamp `(…, 2, R, W)` coordinates to the map; the gradient is zero where a coordinate lay outside."""
    y, x = coordinates.unbind(-3)
    return torch.stack((_clamp(y, coarse[0]), _clamp(x, coarse[1])), -3)


def _clamp(coordinate: Tensor, size: int) -> Tensor:
    """Clamp to `[0, size - 1]`; the gradient is 1 there, edges included, which `clamp` changed from torch to torch."""
    inside = (coordinate >= 0) & (coordinate <= size - 1)
    return torch.where(inside, coordinate, coordinate.detach().clamp(0, size - 1))


def to_grid_sample(coordinates: Tensor, coarse: tuple[int, int]) -> Tensor:
    """Turn clamped `(…, 2, R, W)` coordinates into the `(…, R, W, 2)` grid of `grid_sample(padding_mode="border",
    align_corners=True)`.

    Normalising and un-normalising rounds; at a whole coordinate that would choose the slope of the left or the right
    interval at random. Such coordinates are moved up by a few units in the last place, so the derivative there is
    always `v(i + 1) - v(i)`, and 0 at the last pixel.
    """
    y, x = coordinates.unbind(-3)
    nudge = 4 * torch.finfo(coordinates.dtype).eps
    axes = []
    for coordinate, size in ((x, coarse[1]), (y, coarse[0])):
        normalised = coordinate * (2 / max(size - 1, 1)) - 1
        axes.append(normalised + nudge * (coordinate == coordinate.floor()))
    return torch.stack(axes, -1)
