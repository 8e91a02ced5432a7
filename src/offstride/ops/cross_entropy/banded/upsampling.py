"""Bilinear upsampling in phases: every full-resolution score is visited, none is kept.

The fine pixels at one place in their coarse cells form a coarse-sized map, a phase (`cells.py`). Along a row of a cell
scores grow by a constant step, so their exponentials grow by a constant ratio: phase after phase is made from the one
before in place, and two exponentials serve all pixels of a row of a cell. Nothing is gathered and no tensor exceeds a
band.

Shapes: B images of C classes, n images and R rows of a band, P phases and N cells of a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.cross_entropy.banded.cells import Cells, sort_into_cells
from offstride.ops.cross_entropy.banded.criterion import exponentiate, shifted
from offstride.ops.grid import Origin

PHASE_NUMBERS = {"cpu": 3 << 18}
"""Numbers in one phase of a band. On a CPU a few such tensors fit its cache; elsewhere fewer, larger calls pay."""

DEFAULT_PHASE_NUMBERS = 1 << 21


class Phase(NamedTuple):
    """One phase of the columns of a band.

    Attributes:
        values: `(n, C, R, N)` exponentials of the scores less `peak`.
        total: `(n, 1, R, N)` their sum over the classes.
        peak: `(n, 1, R, N)`, or None for 0.
    """

    values: Tensor
    total: Tensor
    peak: Tensor | None

    def log_sum(self) -> Tensor:
        """`(n, 1, R, N)` logarithm of the sum of the exponentials of the scores."""
        return self.total.log() if self.peak is None else self.total.log().add_(self.peak)


class Rows(NamedTuple):
    """A band of `(n, C, R, N + 1)` scores, interpolated along y, that are to be interpolated along x.

    Attributes:
        scores: The scores, at most 0.
        fraction: `(P, N)` places of the pixels in their cells.
        step: Distance of neighbouring pixels, in cells.
        narrow: Whether exponentials of the scores cannot vanish.
    """

    scores: Tensor
    fraction: Tensor
    step: float
    narrow: bool

    def phases(self, classes: Tensor | None = None, label: Tensor | None = None) -> Iterator[Phase]:
        """The P phases in turn, each valid until the next one.

        Args:
            classes: `(n, P, R, N)` classes to look up.
            label: `(n, P, R, N)`, receives what `gap` needs to know of them.
        """
        return self._by_ratio(classes, label) if self.narrow else self._by_peak(classes, label)

    def gap(self, total: Tensor, label: Tensor) -> Tensor:
        """`lse - v_y` from the sums and what `phases` wrote for the label, in place of the latter.

        A quotient where exponentials cannot vanish, no difference of logarithms: it keeps the small losses of pixels
        that are nearly certain.
        """
        return torch.div(total, label, out=label).log_() if self.narrow else torch.sub(total.log(), label, out=label)

    def ends(self) -> tuple[Tensor, Tensor]:
        """`(n, C, R, N)` scores at the left of the cells, and how much higher they are at the right."""
        left = self.scores[..., :-1]
        return left, self.scores[..., 1:] - left

    def _by_ratio(self, classes: Tensor | None, label: Tensor | None) -> Iterator[Phase]:
        left, slope = self.ends()
        values = exponentiate(torch.addcmul(left, slope, self.fraction[0]))
        ratio = exponentiate(slope.mul_(self.step))
        for t in range(len(self.fraction)):
            if t:
                values.mul_(ratio)
            _look_up(values, classes, label, t)
            yield Phase(values, values.sum(1, keepdim=True), None)

    def _by_peak(self, classes: Tensor | None, label: Tensor | None) -> Iterator[Phase]:
        left, slope = self.ends()
        values = torch.empty_like(slope)
        for t, fraction in enumerate(self.fraction):
            torch.addcmul(left, slope, fraction, out=values)
            peak = values.amax(1, keepdim=True)
            values.sub_(peak)
            _look_up(values, classes, label, t)
            yield Phase(values, exponentiate(values).sum(1, keepdim=True), peak)


def _look_up(values: Tensor, classes: Tensor | None, label: Tensor | None, t: int) -> None:
    if classes is not None and label is not None:
        torch.gather(values, 1, classes[:, t : t + 1], out=label[:, t : t + 1])


class PhaseBand(NamedTuple):
    """A part of the work: some images and, along y, some phases of some cells. Its rows are phases × cells."""

    images: slice
    phases: slice
    cells: slice


@dataclass(frozen=True)
class Upsampling:
    """Coarse `(B, C, h, w)` scores on their way to `size = (H, W)`."""

    scores: Tensor
    size: tuple[int, int]
    origin: Origin

    @cached_property
    def tables(self) -> tuple[Cells, Cells]:
        """Cells along y and x, on the CPU."""
        (H, W), (h, w) = self.size, self.scores.shape[2:]
        return sort_into_cells(H, h, self.origin), sort_into_cells(W, w, self.origin)

    @cached_property
    def y(self) -> Cells:
        """Cells along y, beside the scores."""
        return self.tables[0].to(self.coarse[0])

    @cached_property
    def x(self) -> Cells:
        """Cells along x, beside the scores."""
        return self.tables[1].to(self.coarse[0])

    @cached_property
    def coarse(self) -> tuple[Tensor, bool]:
        """Shifted scores with their padding, one more along each axis than there are cells, and whether they are
        narrow.
        """
        values, narrow = shifted(self.scores)
        y, x = self.tables
        return F.pad(values, (x.before, 1, y.before, 1), mode="replicate"), narrow

    def bands(self, numbers: int | None = None) -> Iterator[PhaseBand]:
        """Cut the work into bands of equal size: rows of cells, all of them, several phases, several images; by default
        of at most `PHASE_NUMBERS`.
        """
        B, C = self.scores.shape[:2]
        (phases, cells), N = self.y.fine.shape, self.x.fine.shape[1]
        if numbers is None:
            numbers = PHASE_NUMBERS.get(self.scores.device.type, DEFAULT_PHASE_NUMBERS)
        room = numbers // (C * N)
        for images in _parts(B, room // (phases * cells)):
            for some in _parts(phases, room // cells):
                yield from (PhaseBand(images, some, rows) for rows in _parts(cells, room))

    def rows(self, band: PhaseBand) -> Rows:
        """Interpolate along y."""
        values, narrow = self.coarse
        lower = slice(band.cells.start + 1, band.cells.stop + 1)
        top, bottom = (values[band.images, :, None, rows] for rows in (band.cells, lower))
        scores = torch.lerp(top, bottom, self._fraction(band)).flatten(2, 3)
        return Rows(scores, self.x.fraction, self.x.step, narrow)

    def add_rows(self, gradient: Tensor, total: Tensor, band: PhaseBand) -> None:
        """Transpose of `rows`: add a `(n, C, R, N + 1)` gradient to a `total` shaped like the padded scores."""
        fraction = self._fraction(band)
        gradient = gradient.unflatten(2, fraction.shape[:2])
        for first, part in ((1, fraction), (0, 1 - fraction)):
            rows = slice(band.cells.start + first, band.cells.stop + first)
            total[band.images, :, rows] += (gradient * part).sum(2)

    def unpad(self, gradient: Tensor) -> Tensor:
        """Transpose of the padding."""
        for axis, cells in ((2, self.y), (3, self.x)):
            gradient.select(axis, -2).add_(gradient.select(axis, -1))
            if cells.before:
                gradient.select(axis, 1).add_(gradient.select(axis, 0))
            gradient = gradient.narrow(axis, cells.before, gradient.shape[axis] - 1 - cells.before)
        return gradient.contiguous()

    def present(self, band: PhaseBand) -> Tensor:
        """`(P, R, N)` which of a band's pixels exist."""
        rows = self.y.present[band.phases, band.cells].flatten()[:, None]
        return rows & self.x.present[:, None]

    def pick(self, pixels: Tensor, band: PhaseBand) -> Tensor:
        """Sort a `(B, H, W)` map of pixels like the scores of a band: `(n, P, R, N)`."""
        rows = self.y.fine[band.phases, band.cells].flatten()
        picked = pixels[band.images].index_select(1, rows).index_select(2, self.x.fine.flatten())
        return picked.unflatten(2, self.x.fine.shape).transpose(1, 2).contiguous()

    def put(self, values: Tensor, pixels: Tensor, band: PhaseBand) -> None:
        """Inverse of `pick`: write a band's `(n, P, R, N)` values into a `(B, H, W)` map."""
        columns = self.tables[1].position().to(values.device)
        sorted_values = values.transpose(1, 2).flatten(2).index_select(2, columns)
        fine, present = (table[band.phases, band.cells].flatten() for table in self.tables[0][:2])
        sorted_values = sorted_values.index_select(1, present.nonzero()[:, 0].to(values.device))
        pixels[band.images].index_copy_(1, fine[present].to(values.device), sorted_values)

    def _fraction(self, band: PhaseBand) -> Tensor:
        """`(phases, cells, 1)` places of the rows in their cells."""
        return self.y.fraction[band.phases, band.cells, None]


def _parts(count: int, most: int) -> Iterator[slice]:
    """Cut a range into equal parts of at most `most`, or of one."""
    parts = -(-count // max(most, 1))
    return (slice(i * count // parts, (i + 1) * count // parts) for i in range(parts))
