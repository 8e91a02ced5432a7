"""Upsampling and cross-entropy in plain PyTorch, on any device, without the full-resolution scores.

Scores that are not displaced are upsampled in phases (`cells.py`, `upsampling.py`, `phase.py`), displaced ones in bands
of rows (`reader.py`, `tiled.py`); `terms.py` adds the location-aware terms of LaU. Gradients are made together with the
loss.

Shapes: scores (B, C, h, w), offsets (B, 2M, H, W) or None for bilinear upsampling, labels (B, H, W) uint8 or int64.

Arguments were checked by the caller. Everything is computed in float32 or better, in the same order in every run.
"""

from typing import Unpack

import torch
from torch import Tensor

from offstride.ops.cross_entropy.banded import phase, terms, tiled
from offstride.ops.cross_entropy.banded.criterion import Criterion
from offstride.ops.cross_entropy.banded.tiled import Reading
from offstride.ops.cross_entropy.banded.upsampling import Upsampling
from offstride.ops.cross_entropy.options import DisplacedOptions, Options
from offstride.ops.grid import coordinate_dtype

__all__ = ["loss", "pixels", "pixels_backward"]


@torch.no_grad()
def loss(
    scores: Tensor,
    offsets: Tensor | None,
    labels: Tensor,
    divisors: Tensor,
    *,
    gradient: bool,
    **options: Unpack[DisplacedOptions],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Sums of the losses, weighed by the location-aware terms, and of the pull towards better places over their `(2,)`
    divisors, and on request the gradients of their sum to scores and offsets.
    """
    dtype = coordinate_dtype(scores.dtype)
    if offsets is None:
        upsampling, criterion = _upsampling(scores, labels, options)
        total, to_scores = phase.total_loss(upsampling, labels, criterion, gradient=gradient)
        to_scores = None if to_scores is None else (to_scores / divisors[0]).to(scores.dtype)
        return (total / divisors[0]).to(dtype), to_scores, None
    reading, criterion = _reading(scores, offsets, options)
    guided, strength = options["guided"], options["regression"]
    if strength is not None:
        judge = terms.regression_judge(reading, labels, criterion, guided or 0.0, options["window"])
    elif guided is not None:
        judge = terms.guided_judge(reading, labels, criterion, guided, options["ties"])
    else:
        judge = terms.no_judge
    total, *gradients = tiled.total_loss(
        reading, labels, criterion, judge, divisors, strength=strength or 0.0, gradient=gradient
    )
    return total.to(dtype), gradients[0], gradients[1]


@torch.no_grad()
def pixels(scores: Tensor, offsets: Tensor | None, labels: Tensor, **options: Unpack[Options]) -> Tensor:
    """`(B, H, W)` losses, 0 at ignored pixels."""
    if offsets is None:
        upsampling, criterion = _upsampling(scores, labels, options)
        return phase.pixel_losses(upsampling, labels, criterion)
    reading, criterion = _reading(scores, offsets, options)
    return tiled.pixel_losses(reading, labels, criterion)


@torch.no_grad()
def pixels_backward(
    grad: Tensor, scores: Tensor, offsets: Tensor | None, labels: Tensor, **options: Unpack[Options]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of `sum(grad · losses)` to scores and offsets; `grad` is `(B, H, W)`."""
    if offsets is None:
        upsampling, criterion = _upsampling(scores, labels, options)
        gradient = phase.total_loss(upsampling, labels, criterion, gradient=True, factors=grad)[1]
        return gradient if gradient is None else gradient.to(scores.dtype), None
    reading, criterion = _reading(scores, offsets, options)

    def judge(band: tiled.RowBand, losses: Tensor) -> tiled.Judgement:
        return tiled.Judgement(grad[band.images, band.rows].to(reading.dtype))

    return tiled.total_loss(reading, labels, criterion, judge, grad.new_ones(2), strength=0.0, gradient=True)[1:]


def _upsampling(scores: Tensor, labels: Tensor, options: Options) -> tuple[Upsampling, Criterion]:
    upsampling = Upsampling(scores, (labels.shape[1], labels.shape[2]), options["origin"])
    return upsampling, Criterion.of(scores, coordinate_dtype(scores.dtype), options)


def _reading(scores: Tensor, offsets: Tensor, options: Options) -> tuple[Reading, Criterion]:
    reading = Reading(scores, offsets, options["origin"])
    return reading, Criterion.of(scores, reading.dtype, options)
