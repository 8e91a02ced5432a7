"""Location-aware sampling: read a coarse map at any coordinates.

Shapes: B batch, C channels, h×w coarse grid, M offset groups (M divides C), R×W the rows and columns that are read.

Convention: coordinates are (y, x) in coarse pixels and are clamped to the map. Their gradient is zero where the
unclamped coordinate lay outside, and `v(i + 1) - v(i)` at a whole coordinate `i`. Everything is computed in float32 or
better, whatever the type of the values.
"""

from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.grid import Origin, check_origin, clamp_to_map, coordinate_dtype, located_coordinates, to_grid_sample


def located_sample(
    values: Tensor, offsets: Tensor, *, origin: Origin = "center", rows: tuple[int, int] | None = None
) -> Tensor:
    """Location-aware upsampling (LaU, Eq. 2): bilinear reading of a coarse map at displaced positions.

    With zero offsets and `origin="center"` this is `interpolate(values, offsets.shape[-2:], mode="bilinear")`.

    Args:
        values: `(B, C, h, w)` map to read.
        offsets: `(B, 2M, H, W)` displacements in coarse pixels; channels `2m`, `2m + 1` are the (y, x) pair that the
            `m`-th of M equal runs of channels shares. M = 1 moves all channels together, M = C each on its own.
        origin: Which coarse position a fine pixel starts from, see `offstride.ops.grid`.
        rows: Half-open range of fine rows to compute; all of them by default.

    Returns:
        `(B, C, stop - start, W)`, float32 or better.

    Raises:
        ValueError: If shapes, devices, number types or `origin` do not fit together.

    Example:
        >>> located_sample(torch.ones(1, 3, 4, 4), torch.zeros(1, 2, 8, 8)).shape
        torch.Size([1, 3, 8, 8])
    """
    check_origin(origin)
    check_sample(values, offsets)
    if rows is not None and not 0 <= rows[0] < rows[1] <= offsets.shape[2]:
        raise ValueError(f"rows: expected 0 <= start < stop <= {offsets.shape[2]}, got {rows}")
    coarse = (values.shape[2], values.shape[3])
    return sample_at(values, located_coordinates(offsets, coarse, origin, rows=rows))


def check_scores(scores: Tensor) -> None:
    """Raise a `ValueError` unless scores are a floating-point `(B, C, h, w)` tensor that is not empty."""
    if scores.ndim != 4 or not scores.is_floating_point() or 0 in scores.shape:
        raise ValueError(
            f"scores: expected a floating-point (B, C, h, w) tensor, got {scores.dtype} of shape {tuple(scores.shape)}"
        )


def check_sample(values: Tensor, offsets: Tensor, *, name: str = "values") -> None:
    """Raise a `ValueError` unless offsets fit the values, which the message calls `name`."""
    for title, tensor in ((name, values), ("offsets", offsets)):
        if tensor.ndim != 4 or not tensor.is_floating_point():
            raise ValueError(
                f"{title}: expected a floating-point tensor of 4 dimensions, "
                f"got {tensor.dtype} of shape {tuple(tensor.shape)}"
            )
        if 0 in tensor.shape:
            raise ValueError(f"{title}: expected no empty dimension, got shape {tuple(tensor.shape)}")
    if offsets.shape[0] != values.shape[0]:
        raise ValueError(f"offsets: expected batch size {values.shape[0]} as in {name}, got {offsets.shape[0]}")
    if offsets.shape[1] % 2 or values.shape[1] % (offsets.shape[1] // 2):
        raise ValueError(
            f"offsets: expected 2M channels where M divides the {values.shape[1]} channels of {name}, "
            f"got {offsets.shape[1]}"
        )
    if offsets.device != values.device:
        raise ValueError(f"offsets: expected device {values.device} as {name}, got {offsets.device}")


def sample_at(values: Tensor, coordinates: Tensor) -> Tensor:
    """Read `(B, C, h, w)` values bilinearly at `(B, M, 2, R, W)` coordinates; returns `(B, C, R, W)`, float32 or
    better.
    """
    B, C, h, w = values.shape
    M, R, W = coordinates.shape[1], coordinates.shape[-2], coordinates.shape[-1]
    dtype = torch.promote_types(coordinate_dtype(values.dtype), coordinates.dtype)
    values = values.to(dtype).reshape(B * M, C // M, h, w)
    coordinates = clamp_to_map(coordinates.to(dtype), (h, w)).reshape(B * M, 2, R, W)
    if (values.is_cuda and torch.are_deterministic_algorithms_enabled()) or _has_nan(coordinates):
        return sample_by_rows(values, coordinates).reshape(B, C, R, W)
    return _sample_by_grid(values, coordinates).reshape(B, C, R, W)


def _has_nan(coordinates: Tensor) -> bool:
    """Whether `grid_sample` would write outside the map: its backward does on a CPU, where the look costs no wait."""
    if coordinates.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return bool(coordinates.detach().isnan().any())


def _sample_by_grid(values: Tensor, coordinates: Tensor) -> Tensor:
    """`grid_sample`: the fastest way; deterministic on a CPU, where its backward gives one thread to a map, but not on
    CUDA.
    """
    N, C, h, w = values.shape
    grid = to_grid_sample(coordinates, (h, w))
    if values.device.type == "cpu" and N == 1 and not torch.compiler.is_compiling():
        # Threads share out maps: deal the channels of a single one.
        parts = gcd(C, torch.get_num_threads())
        values, grid = values.reshape(parts, C // parts, h, w), grid.expand(parts, -1, -1, -1)
    return F.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=True)


def sample_by_rows(values: Tensor, coordinates: Tensor) -> Tensor:
    """The same as a weighted sum of four table rows: its backward sorts the indices, so it is deterministic on every
    device.

    Args:
        values: `(N, C, h, w)`.
        coordinates: `(N, 2, R, W)`, clamped to the map, of the same type.

    Returns:
        `(N, C, R, W)`.
    """
    N, C, h, w = values.shape
    y, x = coordinates.unbind(1)
    top, left = y.detach().floor(), x.detach().floor()
    fy, fx = y - top, x - left
    weights = torch.stack(((1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx), -1)
    row = top.nan_to_num().long() + h * torch.arange(N, device=values.device)[:, None, None]
    column = left.nan_to_num().long()
    down, right = (top < h - 1).long() * w, (left < w - 1).long()  # past the last pixel the edge repeats
    first = row * w + column
    index = torch.stack((first, first + right, first + down, first + down + right), -1)
    table = values.permute(0, 2, 3, 1).reshape(-1, C)
    mixed = F.embedding_bag(index.reshape(-1, 4), table, mode="sum", per_sample_weights=weights.reshape(-1, 4))
    return mixed.reshape(N, *y.shape[1:], C).permute(0, 3, 1, 2)
