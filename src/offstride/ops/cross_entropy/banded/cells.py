"""The fine pixels of one axis, sorted by the coarse cell they lie in.

A cell is the interval between two neighbouring coarse pixels. The t-th fine pixels of all cells together are *phase* t:
one coarse-sized map, which is interpolated without any gather. Where the factor is whole every cell holds the same
pixels; elsewhere some cells hold one pixel less and miss the last phase.

Shapes: P phases, N cells. `"center"` has half a cell before the first coarse pixel, so the coarse map is padded there
by a copy of its edge; after the last coarse pixel it always is.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from offstride.ops.grid import Origin, base_coordinates, pixel_step


class Cells(NamedTuple):
    """Where the pixels of an axis lie. Tables are made on the CPU, where looking at them waits for nobody.

    Attributes:
        fine: `(P, N)` int64 index of the fine pixel; any valid index where there is none.
        present: `(P, N)` whether there is such a pixel.
        fraction: `(P, N)` place of the pixel in its cell, from 0 to below 1.
        step: Distance of neighbouring fine pixels, in cells.
        before: Number of padded coarse pixels, 0 or 1, before the first.
    """

    fine: Tensor
    present: Tensor
    fraction: Tensor
    step: float
    before: int

    def to(self, like: Tensor) -> "Cells":
        """The same beside another tensor, with fractions of its type."""
        return self._replace(
            fine=self.fine.to(like.device), present=self.present.to(like.device), fraction=self.fraction.to(like)
        )

    def position(self) -> Tensor:
        """`(fine,)` index of each fine pixel in the flattened `(P, N)` tables: the inverse of `fine`."""
        count = int(self.present.sum())
        position = torch.empty(count, dtype=torch.int64)
        position[self.fine[self.present]] = self.present.flatten().nonzero()[:, 0]
        return position


def sort_into_cells(fine: int, coarse: int, origin: Origin) -> Cells:
    """Sort `fine` pixels over `coarse` ones into cells; the factor need not be whole."""
    coordinate = base_coordinates(fine, coarse, origin, dtype=torch.float64)
    low = coordinate.floor()
    before = int(low[0] < 0)
    cells = coarse + before
    first = torch.searchsorted(low, torch.arange(-before, coarse, dtype=torch.float64))
    count = torch.diff(first, append=torch.tensor([fine]))
    phases = int(count.max())
    index = first + torch.arange(phases)[:, None]
    present = torch.arange(phases)[:, None] < count
    index = index.clamp_(max=fine - 1)
    assert index.shape == (phases, cells)
    return Cells(index, present, (coordinate - low)[index], pixel_step(fine, coarse, origin), before)
