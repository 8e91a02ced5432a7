"""Fine scores as weighted sums of the coarse ones around them: what CARAFE, SAPA and joint bilateral upsampling share.

Shapes: B batch, C classes, h×w coarse grid, H×W fine grid, K the width of a window, R rows of a band.

Convention: the window of a fine pixel is centred at the coarse pixel nearest to it, which at origin `center` is the one
that it lies in; its K² weights go row by row. Coarse pixels beyond the map are zeros, as in the released operators of
CARAFE and SAPA, unless weights leave them out.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.field import LogitField
from offstride.ops.grid import Origin, coordinate_dtype, nearest, source_rows
from offstride.upsamplers.render import render


class WeightedWindowField(LogitField):
    """Every fine pixel has weights for the K×K coarse pixels around it, the same for all classes.

    Subclasses define the `weights` of a band of rows. A band of scores is rendered at a time, one coarse neighbour
    after the other.
    """

    scores: Tensor
    size: tuple[int, int]
    width: int
    origin: Origin = "center"

    @abstractmethod
    def weights(self, start: int, stop: int) -> Tensor:
        """`(B, K², R, W)` weights of some rows."""

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.scores.shape[:2], *self.size))

    @property
    def values(self) -> Tensor:
        return self.scores

    def rows(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        neighbours = window_rows(self.scores, self.size, self.width, (start, stop), self.origin)
        total = _weighted_sum(self.weights(start, stop), neighbours)
        return total.to(coordinate_dtype(total.dtype))


@render.register
def _windows(field: WeightedWindowField) -> Tensor:
    (h, w), (H, W), K = field.scores.shape[2:], field.size, field.width
    padded = F.pad(field.scores, (K // 2,) * 4)
    y, x = (nearest(fine, n, field.origin, device=padded.device) for fine, n in ((H, h), (W, w)))
    neighbours = (padded.index_select(2, y + i).index_select(3, x + j) for i in range(K) for j in range(K))
    return _weighted_sum(field.weights(0, H), neighbours)


def _weighted_sum(weights: Tensor, neighbours: Iterable[Tensor]) -> Tensor:
    """Sum of K² maps `(B, C, R, W)` by `(B, K², R, W)` weights."""
    parts = (weight[:, None] * neighbour for weight, neighbour in zip(weights.unbind(1), neighbours, strict=True))
    return reduce(torch.add, parts)


@dataclass(frozen=True, eq=False)
class ReassembledField(WeightedWindowField):
    """Weights that a network has predicted.

    Args:
        scores: `(B, C, h, w)`.
        kernels: `(B, K², H, W)` weights.
    """

    scores: Tensor
    kernels: Tensor

    @property
    def size(self) -> tuple[int, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.kernels.shape[2], self.kernels.shape[3]

    @property
    def width(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return round(self.kernels.shape[1] ** 0.5)

    def weights(self, start: int, stop: int) -> Tensor:
        return self.kernels[:, :, start:stop].to(coordinate_dtype(self.scores.dtype))


def window_rows(
    values: Tensor, size: tuple[int, int], width: int, rows: tuple[int, int], origin: Origin = "center"
) -> Iterator[Tensor]:
    """The K² neighbours of all fine pixels of some rows in turn, each `(B, C, R, W)`, float32 or better."""
    (h, w), reach = values.shape[2:], width // 2
    y = nearest(size[0], h, origin, rows=rows, device=values.device)
    x = nearest(size[1], w, origin, device=values.device)
    low, high = 0, h
    if rows != (0, size[0]):  # only what the band reads
        low, high = source_rows(rows, size[0], h, origin)
    padded = F.pad(values, (reach,) * 4)[:, :, low : high + 2 * reach].to(coordinate_dtype(values.dtype))
    for i in range(width):
        line = padded.index_select(2, y - low + i)
        for j in range(width):
            yield line.index_select(3, x + j)
