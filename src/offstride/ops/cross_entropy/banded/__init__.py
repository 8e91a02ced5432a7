"""Upsampling and cross-entropy in plain PyTorch, on any device, without the full-resolution scores.

Scores that are not displaced are upsampled in phases (`cells.py`, `upsampling.py`, `phase.py`), displaced ones in bands
of rows (`reader.py`, `tiled.py`); `terms.py` adds the location-aware terms of LaU. Gradients are made together with the
loss.

Shapes: scores (B, C, h, w), offsets (B, 2M, H, W), labels (B, H, W) uint8 or int64.

Arguments were checked by the caller. Everything is computed in float32 or better, in the same order in every run.
"""

import torch
from torch import Tensor

from offstride.ops.cross_entropy.banded import phase, terms, tiled
from offstride.ops.cross_entropy.banded.criterion import Criterion
from offstride.ops.cross_entropy.banded.tiled import Reading
from offstride.ops.cross_entropy.banded.upsampling import Upsampling
from offstride.ops.grid import Origin, coordinate_dtype

__all__ = [
    "bilinear",
    "bilinear_pixels",
    "bilinear_pixels_backward",
    "located",
    "located_pixels",
    "located_pixels_backward",
    "unusable",
]


def unusable(scores: Tensor, offsets: Tensor | None) -> str | None:
    """Why these tensors cannot be served; None: they all can."""
    return None


@torch.no_grad()
def bilinear(
    scores: Tensor,
    labels: Tensor,
    divisor: Tensor,
    *,
    origin: Origin,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
    gradient: bool,
) -> tuple[Tensor, Tensor | None]:
    """Sum of the losses of all valid pixels over `divisor`, and on request its gradient to the scores."""
    upsampling = _upsampling(scores, labels, origin)
    criterion = Criterion.of(scores, upsampling.dtype, weight, label_smoothing, ignore_index)
    total, grown = phase.total_loss(upsampling, labels, criterion, gradient=gradient)
    return _loss(total / divisor, scores), None if grown is None else (grown / divisor).to(scores.dtype)


@torch.no_grad()
def bilinear_pixels(
    scores: Tensor,
    labels: Tensor,
    *,
    origin: Origin,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
) -> Tensor:
    """`(B, H, W)` losses, 0 at ignored pixels."""
    upsampling = _upsampling(scores, labels, origin)
    criterion = Criterion.of(scores, upsampling.dtype, weight, label_smoothing, ignore_index)
    return phase.pixel_losses(upsampling, labels, criterion)


@torch.no_grad()
def bilinear_pixels_backward(
    grad: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    origin: Origin,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
) -> Tensor:
    """Gradient of `sum(grad · losses)` to the scores; `grad` is `(B, H, W)`."""
    upsampling = _upsampling(scores, labels, origin)
    criterion = Criterion.of(scores, upsampling.dtype, weight, label_smoothing, ignore_index)
    return phase.pixel_losses_backward(grad, upsampling, labels, criterion).to(scores.dtype)


@torch.no_grad()
def located(
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    divisors: Tensor,
    *,
    origin: Origin,
    guided: float | None,
    regression: float | None,
    window: int,
    ties: terms.Ties,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
    gradient: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Sums of the located losses, weighed by the location-aware terms, and of the pull towards better places over their
    `(2,)` divisors, and on request the gradients of their sum to scores and offsets.

    Args:
        guided: λ of LaU, Eq. 3 and 4, or None.
        regression: γ of Eq. 4, or None.
        window: Reach of the search for better places.
        ties: Whether Eq. 3 penalises pixels that are as good undisplaced.
    """
    reading = Reading(scores, offsets, origin)
    criterion = Criterion.of(scores, reading.dtype, weight, label_smoothing, ignore_index)
    if regression is not None:
        judge = terms.regression_judge(reading, labels, criterion, guided or 0.0, window)
    elif guided is not None:
        judge = terms.guided_judge(reading, labels, criterion, guided, ties)
    else:
        judge = terms.no_judge
    strength = 0.0 if regression is None else regression
    loss, *gradients = tiled.total_loss(
        reading, labels, criterion, judge, divisors, strength=strength, gradient=gradient
    )
    return _loss(loss, scores), gradients[0], gradients[1]


@torch.no_grad()
def located_pixels(
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    *,
    origin: Origin,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
) -> Tensor:
    """`(B, H, W)` located losses, 0 at ignored pixels."""
    reading = Reading(scores, offsets, origin)
    criterion = Criterion.of(scores, reading.dtype, weight, label_smoothing, ignore_index)
    return tiled.pixel_losses(reading, labels, criterion)


@torch.no_grad()
def located_pixels_backward(
    grad: Tensor,
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    *,
    origin: Origin,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
) -> tuple[Tensor, Tensor]:
    """Gradients of `sum(grad · losses)` to scores and offsets; `grad` is `(B, H, W)`."""
    reading = Reading(scores, offsets, origin)
    criterion = Criterion.of(scores, reading.dtype, weight, label_smoothing, ignore_index)
    return tiled.pixel_losses_backward(grad, reading, labels, criterion)


def _upsampling(scores: Tensor, labels: Tensor, origin: Origin) -> Upsampling:
    return Upsampling(scores, (labels.shape[1], labels.shape[2]), origin)


def _loss(total: Tensor, scores: Tensor) -> Tensor:
    return total.to(coordinate_dtype(scores.dtype))
