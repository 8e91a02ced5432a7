"""The windows of a sliding prediction, and the average over them in tiles, each as soon as it is complete.

Shapes: image H×W, window h×w. B batch, C classes.

A window is never shrunk: the last one of a row or column is shifted back inside the image. Windows advance by their
size less the overlap, rounded up to whole pixels, as in the code that PSPNet and EncNet released.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

Look = Callable[[int, int], Tensor]
"""From the top and left of a window to its prediction: a new `(B, C, h, w)` tensor."""


def check_windows(window: tuple[int, int], overlap: float) -> None:
    """Raise a `ValueError` unless these describe windows."""
    if len(window) != 2 or not all(isinstance(side, int) and side > 0 for side in window):
        raise ValueError(f"window: expected a positive (height, width) in pixels, got {window!r}")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap: expected a share of the window, from 0 to less than 1, got {overlap!r}")


def window_stride(window: int, overlap: float) -> int:
    """Pixels from one window to the next, at least one."""
    return max(1, window - int(window * overlap + 1e-6))  # 1e-6: 0.29 * 100 is 28.999…, and means 29 pixels


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """First pixels of the windows along one axis, which is at least as long as they are."""
    return [*range(0, length - window, window_stride(window, overlap)), length - window]


@dataclass(frozen=True)
class Grid:
    """All windows of an image.

    Args:
        size: (H, W) of the image.
        window: (h, w) of a window, at most that of the image.
        overlap: Share of a window that overlaps with the next one.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    overlap: float

    @property
    def tops(self) -> list[int]:
        """First rows."""
        return window_starts(self.size[0], self.window[0], self.overlap)

    @property
    def lefts(self) -> list[int]:
        """First columns."""
        return window_starts(self.size[1], self.window[1], self.overlap)

    @property
    def waiting(self) -> int:
        """Rows of a window that the windows below still add to."""
        return self.window[0] - window_stride(self.window[0], self.overlap)

    def sweeps(self) -> Iterator[tuple[list[int], int]]:
        """Tops of the windows that are predicted in one sweep from left to right, and the rows that are done after it.

        The last two rows of windows may overlap almost entirely. They share a sweep, so that little has to wait.
        """
        *singles, last = pairwise(self.tops) if len(self.tops) > 1 else [(self.tops[0], self.tops[0])]
        for top, following in singles:
            yield [top], following - top
        yield sorted(set(last)), self.size[0] - last[0]

    def counts(self) -> tuple[Tensor, Tensor]:
        """How many windows cover each row, `(H,)`, and each column, `(W,)`; their product is that of a pixel."""
        return _covering(self.tops, self.window[0]), _covering(self.lefts, self.window[1])


class Tile(NamedTuple):
    """A finished part of the average: `(B, C, r, c)` from row `top` and column `left` on."""

    top: int
    left: int
    values: Tensor


def tiles(look: Look, grid: Grid) -> Iterator[Tile]:
    """Means over all windows, in tiles that cover the image from left to right and top to bottom.

    Memory holds one window and the rows that wait for the windows below: the overlap times the image's width.
    """
    waiting: Tensor | None = None
    of_rows, of_columns = grid.counts()
    for tops, done in grid.sweeps():
        count = of_rows[tops[0] : tops[0] + done, None]
        for left, sums in _summed(look, grid, tops):
            columns = slice(left, left + sums.shape[3])
            if waiting is not None:
                sums[:, :, : grid.waiting] += waiting[:, :, :, columns]
            if sums.shape[2] > done:  # all sweeps but the last
                if waiting is None:
                    waiting = sums.new_zeros(*sums.shape[:2], grid.waiting, grid.size[1])
                waiting[:, :, :, columns] = sums[:, :, done:]
            yield Tile(tops[0], left, sums[:, :, :done] / (count * of_columns[columns]).to(sums))


def _summed(look: Look, grid: Grid, tops: list[int]) -> Iterator[tuple[int, Tensor]]:
    """Sums over the windows of a sweep, in complete pieces: left column and `(B, C, all rows of the sweep, c)`."""
    waiting: Tensor | None = None
    for left, following in pairwise([*grid.lefts, grid.size[1]]):
        done = following - left
        sums = _stacked([look(top, left) for top in tops], tops)
        if waiting is not None:
            sums[..., : waiting.shape[3]] += waiting
        waiting = sums[..., done:].clone() if done < sums.shape[3] else None
        yield left, sums[..., :done]


def _stacked(windows: list[Tensor], tops: list[int]) -> Tensor:
    """Sum of one or two windows below each other."""
    if len(windows) == 1:
        return windows[0]
    first, second = windows
    B, C, h, w = first.shape
    sums = first.new_zeros(B, C, tops[1] - tops[0] + h, w)
    sums[:, :, :h] = first
    sums[:, :, -h:] += second
    return sums


def _covering(starts: list[int], window: int) -> Tensor:
    """How many windows cover each pixel of an axis."""
    counts = torch.zeros(starts[-1] + window)
    for start in starts:
        counts[start : start + window] += 1
    return counts
