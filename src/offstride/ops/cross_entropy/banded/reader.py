"""Bilinear reading at any coordinates and its transpose, called by hand where no graph is recorded.

Shapes: N maps of C channels and h×w coarse pixels, n of them and R×W coordinates in a band.

Convention: coordinates are (y, x) in coarse pixels, clamped to the map and not NaN; their gradient is `v(i + 1) - v(i)`
at a whole coordinate `i`, and 0 at the last pixel.
"""

from collections.abc import Iterator
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.grid import to_grid_sample

FEWEST_CHANNELS = 16
"""With fewer channels a map is read faster by `grid_sample` than by rows of a table, on a CPU."""


SLOPE_NUMBERS = 1 << 18
"""Numbers of a tensor of slopes, of which only a sum is kept."""


def readable(values: Tensor) -> "Maps":
    """Choose how to read `(N, C, h, w)` values."""
    if values.device.type == "cpu" and values.shape[1] < FEWEST_CHANNELS:
        return GridMaps(values)
    return TableMaps(values)


class TableMaps:
    """One row of all channels for each coarse pixel, the edge repeated after the last row and column.

    Reading is a weighted sum of four rows, `embedding_bag`. So is its transpose, once the pixels are sorted by the cell
    they lie in: nothing is added in an order that could change, on any device, and no coordinate is normalised.
    """

    def __init__(self, values: Tensor) -> None:
        self.shape = values.shape
        padded = F.pad(values, (0, 1, 0, 1), mode="replicate")
        self.table = padded.permute(0, 2, 3, 1).reshape(-1, values.shape[1]).contiguous()

    def at(self, maps: slice, coordinates: Tensor) -> "TableReader":
        """Prepare to read some maps at `(n, 2, R, W)` coordinates."""
        return TableReader(self, maps, coordinates)

    def new_gradient(self) -> Tensor:
        """Zeros, for `spread` of the readers to add to."""
        return torch.zeros_like(self.table)

    def finish(self, total: Tensor) -> Tensor:
        """`(N, C, h, w)` gradient to the values from all that was added to `total`."""
        N, C, h, w = self.shape
        padded = total.view(N, h + 1, w + 1, C)
        padded[:, h - 1] += padded[:, h]
        padded[:, :, w - 1] += padded[:, :, w]
        return padded[:, :h, :w].permute(0, 3, 1, 2).contiguous()


class TableReader:
    """See `TableMaps`. Pixels are those of the band in turn."""

    def __init__(self, source: TableMaps, maps: slice, coordinates: Tensor) -> None:
        h, w = source.shape[2:]
        low = coordinates.floor()
        top, left = low.int().unbind(1)
        first = torch.arange(maps.start, maps.stop, dtype=torch.int32, device=low.device) * ((h + 1) * (w + 1))
        self.table, self.shape = source.table, (len(low), *low.shape[2:])
        self.cells = (top.mul_(w + 1).add_(left).add_(first[:, None, None])).flatten()  # their first corners
        self.fraction = (coordinates - low).transpose(0, 1).flatten(1)  # (2, pixels); 0 at the last of the map
        self.shifts = (0, 1, w + 1, w + 2)  # from the first corner to each

    def read(self) -> Tensor:
        """`(n, C, R, W)` values, in whatever order in memory."""
        return self._mixed(self._corners, self._weights).unflatten(0, self.shape).permute(0, 3, 1, 2)

    def spread(self, gradient: Tensor, total: Tensor) -> Tensor:
        """Add what a gradient to the values read means for the maps to a `total` from `new_gradient`; returns the
        `(n, 2, R, W)` gradient to the coordinates.
        """
        rows = gradient.permute(0, 2, 3, 1).reshape(-1, gradient.shape[1]).contiguous()
        self._add_transposed(rows, total)
        slopes = torch.empty_like(self.fraction)
        most = max(1, SLOPE_NUMBERS // rows.shape[1])
        for slope, weights in zip(slopes, self._slope_weights(), strict=True):
            for part in zip(*(each.split(most) for each in (rows, self._corners, weights, slope)), strict=True):
                torch.sum(self._mixed(*part[1:3]).mul_(part[0]), 1, out=part[3])
        return slopes.unflatten(1, self.shape).transpose(0, 1)

    def _add_transposed(self, rows: Tensor, total: Tensor) -> None:
        """Add the gradients of all pixels to the corners of their cells, cell after cell."""
        cells, order = self.cells.sort(stable=True)
        first, last = 0, len(total) - 1 - self.shifts[3]
        if cells.device.type == "cpu":
            first, last = int(cells[0]), int(cells[-1])
        starts = torch.searchsorted(cells, torch.arange(first, last + 1, device=cells.device, dtype=cells.dtype))
        weights = self._weights[order].unbind(1)
        for shift, weight in zip(self.shifts, weights, strict=True):
            sums = F.embedding_bag(order, rows, starts, mode="sum", per_sample_weights=weight.contiguous())
            total[first + shift : last + 1 + shift] += sums

    @cached_property
    def _corners(self) -> Tensor:
        """`(pixels, 4)` rows of the table."""
        return torch.stack([self.cells + shift for shift in self.shifts], 1)

    @cached_property
    def _weights(self) -> Tensor:
        """`(pixels, 4)` weights of the corners."""
        ends = torch.stack((1 - self.fraction, self.fraction), 1)
        weights = self.fraction.new_empty(self.fraction.shape[1], 4)
        for i, weight in enumerate(weights.unbind(1)):
            torch.mul(ends[0, i // 2], ends[1, i % 2], out=weight)
        return weights

    def _slope_weights(self) -> Iterator[Tensor]:
        """The same for the slopes along y and x, in the same memory."""
        weights = self.fraction.new_empty(self.fraction.shape[1], 2, 2)
        for axis, fraction in enumerate(self.fraction.unbind()[::-1]):  # the slope along y depends on the place along x
            lower, upper = weights.unbind(1 + axis)
            torch.sub(1, fraction, out=upper[:, 0])
            upper[:, 1] = fraction
            torch.neg(upper, out=lower)
            yield weights.flatten(1)

    def _mixed(self, corners: Tensor, weights: Tensor) -> Tensor:
        """`(pixels, C)` sums of corners with `(pixels, 4)` weights."""
        return F.embedding_bag(corners, self.table, mode="sum", per_sample_weights=weights)


class GridMaps:
    """`grid_sample`, with the methods of `TableMaps`."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def at(self, maps: slice, coordinates: Tensor) -> "GridReader":
        return GridReader(self.values[maps], maps, coordinates)

    def new_gradient(self) -> Tensor:
        return torch.zeros_like(self.values)

    def finish(self, total: Tensor) -> Tensor:
        return total


class GridReader:
    """See `GridMaps`. Threads share out maps: where there are too few on a CPU, the channels of each are dealt into
    several, beside channels of zeros where they do not come out even.
    """

    _OPTIONS = 0, 1, True  # bilinear, border, align_corners

    def __init__(self, values: Tensor, maps: slice, coordinates: Tensor) -> None:
        self.shape, self.maps = values.shape, maps
        n, C, h, w = values.shape
        parts = min(C, -(-torch.get_num_threads() // n)) if values.device.type == "cpu" else 1
        self.missing = -C % parts
        self.values = self._deal(values, parts)
        self.grid = to_grid_sample(coordinates, (h, w)).repeat_interleave(parts, 0)

    def read(self) -> Tensor:
        values = torch.ops.aten.grid_sampler_2d(self.values, self.grid, *self._OPTIONS)
        return self._collect(values)

    def spread(self, gradient: Tensor, total: Tensor) -> Tensor:
        n, _, h, w = self.shape
        backward = torch.ops.aten.grid_sampler_2d_backward
        dealt = self._deal(gradient, len(self.values) // n)
        values, grid = backward(dealt, self.values, self.grid, *self._OPTIONS, (True, True))
        total[self.maps] += self._collect(values)
        x, y = grid.unflatten(0, (n, -1)).sum(1).unbind(-1)
        return torch.stack((y * (2 / max(h - 1, 1)), x * (2 / max(w - 1, 1))), 1)

    def _deal(self, values: Tensor, parts: int) -> Tensor:
        """`(n, C, …)` to `(n · parts, C / parts, …)`."""
        padded = F.pad(values, (0, 0, 0, 0, 0, self.missing)) if self.missing else values
        return padded.reshape(len(values) * parts, -1, *values.shape[2:])

    def _collect(self, values: Tensor) -> Tensor:
        """`(n · parts, C / parts, …)` to `(n, C, …)`."""
        return values.unflatten(0, (self.shape[0], -1)).flatten(1, 2)[:, : self.shape[1]]


Maps = TableMaps | GridMaps
"""What is read: `(N, C, h, w)` values."""

Reader = TableReader | GridReader
"""Reads some of them, at the coordinates of a band."""
