"""Leading eigenpairs of the covariance of label windows.

The smallest problem with the same answer is solved: the covariance itself where windows are small, the Gram matrix of
the distinct windows where these are few, and otherwise a block Krylov method that asks for products with the covariance
only (thick restarts: Wu and Simon, SIAM J. Matrix Anal. Appl. 22, 2000).

Shapes: N entries of a window, d distinct windows, C̃ channels, b columns of a block.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from offstride.ops.label_basis.covariance import LabelCovariance, Report

_DENSE = 2048  # side of matrices that are decomposed whole: a second or two
_BLOCK = 64


class Eigenpairs(NamedTuple):
    """Eigenvalues `(C̃,)`, largest first, and orthonormal eigenvectors `(N, C̃)`, float64; the largest residual
    ‖Σw − λw‖ in units of the largest eigenvalue.
    """

    values: Tensor
    vectors: Tensor
    residual: float


def leading_eigenpairs(
    covariance: LabelCovariance, count: int, *, tolerance: float = 1e-7, seed: int = 0, progress: Report | None = None
) -> Eigenpairs:
    """The `count` largest eigenvalues of a covariance, and their vectors.

    Args:
        covariance: Σ.
        count: Number of pairs C̃.
        tolerance: Largest residual ‖Σw − λw‖ / λ₁ of the Krylov method. An eigenvalue is then wrong by at most this
            share of λ₁, and by about its square over the gap where the next one is apart.
        seed: Of the block that the Krylov method starts from.
        progress: Called with the number of converged pairs and `count`.

    Raises:
        ValueError: If there are fewer eigenvalues, or the tolerance is beyond what float64 can do.
    """
    if not 1 <= count <= covariance.size:
        raise ValueError(f"channels: expected 1 … {covariance.size} (the entries of a window), got {count}")
    if not 1e-13 <= tolerance < 1:
        raise ValueError(f"tolerance: expected a number from 1e-13 to 1, got {tolerance}")
    if covariance.size <= max(_DENSE, 4 * count):
        values, vectors = _of_covariance(covariance, count)
    elif covariance.distinct <= _DENSE:
        values, vectors = _of_windows(covariance, count)
    else:
        values, vectors = _Krylov(covariance, count, seed).solve(tolerance, progress)
    vectors = _signed(_orthonormal(vectors, count, seed))
    values = torch.cat([values, values.new_zeros(count - len(values))]).clamp(min=0)
    return Eigenpairs(values, vectors, _residual(covariance, values, vectors))


def _of_covariance(covariance: LabelCovariance, count: int) -> tuple[Tensor, Tensor]:
    N = covariance.size
    unit = torch.eye(N, dtype=torch.float64)
    whole = torch.cat([covariance @ unit[:, start : start + 4 * _BLOCK] for start in range(0, N, 4 * _BLOCK)], 1)
    return _largest(whole, count)


def _of_windows(covariance: LabelCovariance, count: int) -> tuple[Tensor, Tensor]:
    """From the d×d inner products of the weighted windows, whose non-zero eigenvalues are the same."""
    d = covariance.distinct
    unit = torch.eye(d, dtype=torch.float64)
    columns = [covariance.project(covariance.combine(part)) for part in unit.split(_BLOCK, 1)]
    values, vectors = _largest(torch.cat(columns, 1), min(count, d))
    real = values > values[0].clamp(min=0) * d * torch.finfo(values.dtype).eps
    return values[real], covariance.combine(vectors[:, real] / values[real].sqrt())


def _largest(matrix: Tensor, count: int) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return values.flip(0)[:count], vectors.flip(1)[:, :count]


class _Krylov:
    """Block Krylov space Q of a covariance, with full reorthogonalisation; T = QᵀΣQ is the covariance within it."""

    def __init__(self, covariance: LabelCovariance, count: int, seed: int) -> None:
        self.covariance, self.count = covariance, count
        generator = torch.Generator().manual_seed(seed)
        N, self.block = covariance.size, _BLOCK
        self.kept = count + max(self.block, count // 4)  # spare pairs hasten the convergence of the last ones
        self.room = min(2 * count + 4 * self.block, N - self.block)
        self.basis = torch.empty(N, self.room + self.block, dtype=torch.float64)
        self.inner = torch.zeros(self.room, self.room, dtype=torch.float64)
        self.filled = 0
        start = torch.randn(N, self.block, generator=generator, dtype=torch.float64)
        self.basis[:, : self.block] = self._fresh(start)[0]

    def solve(self, tolerance: float, progress: Report | None) -> tuple[Tensor, Tensor]:
        while True:
            coupling = self._grow()
            values, vectors = _largest(self.inner[: self.filled, : self.filled], self.filled)
            residuals = (coupling @ vectors[-self.block :]).norm(dim=0)[: self.count]
            good = int((residuals <= tolerance * values[0]).sum())
            if progress is not None:
                progress(good, self.count)
            if good == min(self.count, self.filled):
                return values[: self.count], self.basis[:, : self.filled] @ vectors[:, : self.count]
            if self.filled + self.block > self.room:
                self._restart(values, vectors)

    def _grow(self) -> Tensor:
        """Multiply the newest block, and make the next one of what is new; `(b, b)` coupling between the two."""
        start, stop = self.filled, self.filled + self.block
        known, newest = self.basis[:, :stop], self.basis[:, start:stop]
        product = self.covariance @ newest
        within = known.T @ product
        self.inner[:stop, start:stop], self.inner[start:stop, :stop] = within, within.T
        self.filled = stop
        next_block, coupling = self._fresh(product - known @ within)
        self.basis[:, stop : stop + self.block] = next_block
        return coupling

    def _fresh(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Orthonormal columns, orthogonal to the space too, and the factor that leads back to the old ones."""
        known = self.basis[:, : self.filled]
        result, factor = torch.linalg.qr(columns - known @ (known.T @ columns))
        result = result - known @ (known.T @ result)  # once more: the first pass leaves rounding, or nothing else
        return torch.linalg.qr(result)[0], factor

    def _restart(self, values: Tensor, vectors: Tensor) -> None:
        """Shrink the space to its best vectors, and go on from the block that follows it."""
        following = self.basis[:, self.filled : self.filled + self.block].clone()
        self.basis[:, : self.kept] = self.basis[:, : self.filled] @ vectors[:, : self.kept]
        self.basis[:, self.kept : self.kept + self.block] = following
        self.inner.zero_()
        self.inner[: self.kept, : self.kept] = torch.diag(values[: self.kept])
        self.filled = self.kept


def _orthonormal(vectors: Tensor, count: int, seed: int) -> Tensor:
    """Columns made exactly orthonormal; directions without variance are added where there are too few."""
    generator = torch.Generator().manual_seed(seed)
    missing = count - vectors.shape[1]
    extra = torch.randn(len(vectors), missing, generator=generator, dtype=torch.float64)
    for _ in range(2):
        extra = extra - vectors @ (vectors.T @ extra)
    basis, factor = torch.linalg.qr(torch.cat([vectors, extra], 1))
    return basis * torch.where(factor.diagonal() < 0, -1.0, 1.0)


def _signed(vectors: Tensor) -> Tensor:
    """Each vector with its largest entry positive: eigenvectors have no sign of their own."""
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * torch.where(largest < 0, -1.0, 1.0)


def _residual(covariance: LabelCovariance, values: Tensor, vectors: Tensor) -> float:
    residuals = [
        (covariance @ part - part * value).norm(dim=0).max()
        for part, value in zip(vectors.split(_BLOCK, 1), values.split(_BLOCK), strict=True)
    ]
    return float(max(residuals) / values[0].clamp(min=1e-300)) if values[0] > 0 else 0.0
