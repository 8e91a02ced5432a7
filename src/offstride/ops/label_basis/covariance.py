"""The covariance of one-hot label windows as an operator that is never written out.

V is the matrix of the distinct windows, a row for each, k how often each occurs, m = Σk. A run of label a from pixel s
to pixel e adds Σ X[p, a] over s ≤ p < e to a row of V·X. With the cumulative sums C[p, a] = X[0, a] + … + X[p − 1, a]
that is C[e, a] − C[s, a]: V = D·cumsum with a matrix D of one or two entries ±1 for each run. The cost of Σ·X is the
number of runs times the columns of X, whatever the size of the windows.

Shapes: d distinct windows, r window, n classes, N = r²·n, b columns.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from offstride.ops.label_basis.windows import LabelWindows, merge_windows

_RUNS_AT_ONCE = 2**20  # bounds the memory of a product: about 100 MB of indices and 2 · 8 bytes for each run and column
_RUNS_KEPT = 2**24  # the matrices of so many runs (48 bytes each) are kept from one product to the next

Report = Callable[[int, int], None]


class WindowParts(Protocol):
    """Windows in parts; indexing may read a part from a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> LabelWindows: ...


class LabelCovariance:
    """Covariance Σ = Σᵢ kᵢ (vᵢ − μ)(vᵢ − μ)ᵀ / m of label windows, in float64.

    Args:
        parts: The windows; each part is looked up anew in every product, so that a sequence may read it from a file.
            They are merged and kept if they are few.

    Attributes:
        mean: `(N,)` mean window μ.
        total_variance: Trace of Σ.
        windows: Number of windows m.
        distinct: Number of distinct windows, at least: the parts may share some when they are many.
        runs: Number of runs of these.

    Raises:
        ValueError: If there are no windows.
    """

    def __init__(self, parts: WindowParts) -> None:
        if not len(parts):
            raise ValueError("label maps: expected at least one, got none")
        self._parts = _gathered(parts)
        self._kept: dict[int, list[_Block]] = {}
        self._totals: list[int] = []
        first = self._parts[0]
        self.scale, self.classes = first.scale, first.classes
        self.size = first.scale**2 * first.classes
        self.windows = self.distinct = self.runs = 0
        pixels = sum(self._count(self._parts[index]) for index in range(len(self._parts)))
        self._few = self.runs <= _RUNS_KEPT
        total = torch.zeros(self.size, 1, dtype=torch.float64)
        for block in self._blocks():
            total += block.transposed(block.counts)
        self.mean = total[:, 0] / self.windows
        self.total_variance = max(0.0, pixels / self.windows - float(self.mean @ self.mean))

    def _count(self, part: LabelWindows) -> int:
        """Add the numbers of a part to ours; returns its pixels that have a class: the sum of all ‖v‖²."""
        if (part.scale, part.classes) != (self.scale, self.classes):
            raise ValueError(f"parts: expected windows of one scale and number of classes, got {part.scale} among them")
        self._totals.append(part.total)
        self.windows += part.total
        self.distinct += part.distinct
        self.runs += part.runs
        times = torch.repeat_interleave(part.counts, part.sizes)
        return int((times * part.lengths * (part.labels < part.classes)).sum())

    def __matmul__(self, columns: Tensor) -> Tensor:
        """Σ·X for `(N, b)` float64 columns."""
        sums = _cumulative(columns, self.scale**2)
        result = torch.zeros_like(columns)
        for block in self._blocks():
            result += block.transposed(block.counts * (block.forward @ sums))
        return result / self.windows - torch.outer(self.mean, self.mean @ columns)

    def project(self, columns: Tensor) -> Tensor:
        """√(k/m)·(V − 1μᵀ)·X of every distinct window: `(d, b)` from `(N, b)`."""
        sums, shift = _cumulative(columns, self.scale**2), self.mean @ columns
        return torch.cat([(b.forward @ sums - shift) * (b.counts / self.windows).sqrt() for b in self._blocks()])

    def combine(self, rows: Tensor) -> Tensor:
        """The transpose of `project`: `(N, b)` from `(d, b)`."""
        result, done, shift = rows.new_zeros(self.size, rows.shape[1]), 0, rows.new_zeros(rows.shape[1])
        for block in self._blocks():
            part = rows[done : done + len(block.counts)] * (block.counts / self.windows).sqrt()
            result += block.transposed(part)
            shift += part.sum(0)
            done += len(part)
        return result - torch.outer(self.mean, shift)

    def sample(self, count: int, generator: torch.Generator) -> LabelWindows:
        """So many windows, drawn as often as they occur: from one part, itself drawn by its number of windows."""
        totals = torch.tensor(self._totals, dtype=torch.float64)
        part = self._parts[int(torch.multinomial(totals, 1, generator=generator))]
        places = torch.randint(part.total, (count,), generator=generator)
        return part.select(torch.searchsorted(part.counts.cumsum(0), places, right=True))

    def _blocks(self) -> Iterator["_Block"]:
        for index in range(len(self._parts)):
            if index in self._kept:
                yield from self._kept[index]
                continue
            made = []
            for piece in _pieces(self._parts[index]):
                made = [*made, _Block(piece)] if self._few else [_Block(piece)]
                yield made[-1]
            if self._few:
                self._kept[index] = made


class _Block:
    """A few windows as the sparse matrix D and its transpose."""

    def __init__(self, windows: LabelWindows) -> None:
        classes, positions, labels = windows.classes, windows.positions.long(), windows.labels.long()
        size = windows.scale**2 * classes
        rows = torch.repeat_interleave(torch.arange(windows.distinct), windows.sizes)
        # C[p] lies in row p − 1 of the sums: C[0] is zero and left out
        ends = (positions + windows.lengths - 1) * classes + labels
        starts = (positions - 1) * classes + labels
        known, inner = labels < classes, (labels < classes) & (positions > 0)
        rows, columns = torch.cat([rows[known], rows[inner]]), torch.cat([ends[known], starts[inner]])
        signs = torch.ones(len(rows), dtype=torch.float64)
        signs[int(known.sum()) :] = -1
        self.shape = (windows.scale**2, classes)
        self.counts = windows.counts.double()[:, None]
        self.forward = _sparse(rows, columns, signs, (windows.distinct, size))
        self._backward = _sparse(columns, rows, signs, (size, windows.distinct))

    def transposed(self, rows: Tensor) -> Tensor:
        """Vᵀ·Y for `(d, b)` rows: `(N, b)`."""
        sums = (self._backward @ rows).view(*self.shape, -1)
        return sums.flip(0).cumsum(0).flip(0).flatten(0, 1)


def _sparse(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    order = torch.argsort(rows * shape[1] + columns)
    starts = torch.zeros(shape[0] + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(rows, minlength=shape[0]).cumsum(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that this layout may still change
        return torch.sparse_csr_tensor(starts.int(), columns[order].int(), values[order], shape, check_invariants=False)


def _cumulative(columns: Tensor, pixels: int) -> Tensor:
    return columns.view(pixels, -1, columns.shape[1]).cumsum(0).flatten(0, 1)


def _gathered(parts: WindowParts) -> WindowParts:
    """One part where they are few enough to be kept, else the parts as they are."""
    kept, runs = [], 0
    for index in range(len(parts)):
        kept.append(parts[index])
        runs += kept[-1].runs
        if runs > 4 * _RUNS_KEPT:
            return parts
    return [merge_windows(kept)]


def _pieces(windows: LabelWindows) -> Iterator[LabelWindows]:
    start = 0
    while start < windows.distinct:
        limit = int(windows.offsets[start]) + _RUNS_AT_ONCE
        stop = max(start + 1, int(torch.searchsorted(windows.offsets, limit, right=True)) - 1)
        yield windows.select(torch.arange(start, stop)) if (start, stop) != (0, windows.distinct) else windows
        start = stop
