"""The label basis by stochastic gradient descent on the reconstruction error (Tian et al., CVPR 2019, Eq. 3).

Shapes: N entries of a window, C̃ channels, b windows of a batch.
"""

import math

import torch
from torch import Tensor

from offstride.ops.label_basis.covariance import LabelCovariance, Report

_MOMENTUM = 0.9
_PRODUCTS = 8  # of a random vector with the covariance: enough for the size of its largest eigenvalue


def descend(
    covariance: LabelCovariance,
    channels: int,
    *,
    steps: int = 4000,
    batch: int = 256,
    rate: float = 2.0,
    seed: int = 0,
    progress: Report | None = None,
) -> tuple[Tensor, Tensor]:
    """P and W by stochastic gradient descent with momentum, the rate falling to zero along a cosine.

    Only the space that W spans is kept, as its principal axes: with P = Wᵀ they reconstruct at least as well as
    before, since no P does better with this W than the orthogonal projection.

    Args:
        covariance: Of the windows.
        channels: Channels C̃.
        steps: Number of steps.
        batch: Windows of a step, drawn as often as they occur.
        rate: First learning rate, in units of 1/λ₁.
        seed: Of the first matrices and of the batches.
        progress: Called with the steps done and `steps`.

    Returns:
        Variances `(C̃,)` along the axes, largest first, and the axes `(N, C̃)`, float64.

    Raises:
        ValueError: If there are fewer entries than channels, or a number is not positive. When the descent diverges.
    """
    if not 1 <= channels <= covariance.size:
        raise ValueError(f"channels: expected 1 … {covariance.size} (the entries of a window), got {channels}")
    for name, value in (("steps", steps), ("batch", batch), ("rate", rate)):
        if value <= 0:
            raise ValueError(f"{name}: expected a positive number, got {value}")
    generator = torch.Generator().manual_seed(seed)
    W = torch.linalg.qr(torch.randn(covariance.size, channels, generator=generator))[0]
    P = W.T.clone()
    speeds = [torch.zeros_like(W), torch.zeros_like(P)]
    unit = rate * (1 - _MOMENTUM) / max(_largest_eigenvalue(covariance, generator), 1e-12)
    mean = covariance.mean.float()
    for step in range(steps):
        v = covariance.sample(batch, generator).dense() - mean
        pace = unit * 0.5 * (1 + math.cos(math.pi * step / steps))
        for matrix, speed, gradient in zip((W, P), speeds, _gradients(W, P, v), strict=True):
            matrix -= pace * speed.mul_(_MOMENTUM).add_(gradient)
        if progress is not None:
            progress(step + 1, steps)
    if not W.isfinite().all():
        raise ValueError(f"rate: expected one at which the descent converges, got {rate} (in units of 1/λ₁)")
    return _principal_axes(covariance, W)


def _gradients(W: Tensor, P: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Of the mean of ‖v − WPv‖² / 2 with respect to W and P."""
    codes = v @ P.T
    error = (codes @ W.T - v) / len(v)
    return error.T @ codes, (error @ W).T @ v


def _largest_eigenvalue(covariance: LabelCovariance, generator: torch.Generator) -> float:
    vector = torch.randn(covariance.size, 1, generator=generator, dtype=torch.float64)
    for _ in range(_PRODUCTS):
        vector = covariance @ (vector / vector.norm().clamp(min=1e-300))
    return float(vector.norm())


def _principal_axes(covariance: LabelCovariance, W: Tensor) -> tuple[Tensor, Tensor]:
    basis = torch.linalg.qr(W.double())[0]
    inner = basis.T @ (covariance @ basis)
    values, vectors = torch.linalg.eigh((inner + inner.T) / 2)
    return values.flip(0).clamp(min=0), basis @ vectors.flip(1)
