"""The location-aware terms of LaU (Eq. 3 and 4): what they make of the losses of a band.

Shapes: n images and R rows of a band, C classes, M offset groups.
"""

import torch
from torch import Tensor

from offstride.ops.cross_entropy.banded.criterion import Criterion
from offstride.ops.cross_entropy.banded.phase import pixel_losses as undisplaced_losses
from offstride.ops.cross_entropy.banded.tiled import Judge, Judgement, Reading, RowBand
from offstride.ops.cross_entropy.banded.upsampling import Upsampling
from offstride.ops.labels import is_valid
from offstride.ops.location import Ties, best_displacement, coarse_losses, corner_candidates, unimproved


def no_judge(band: RowBand, losses: Tensor) -> Judgement:
    """Plain cross-entropy."""
    return Judgement()


def guided_judge(reading: Reading, labels: Tensor, criterion: Criterion, penalty: float, ties: Ties) -> Judge:
    """Eq. 3: a pixel that displacement has not improved weighs `1 + penalty`. The losses of undisplaced pixels are made
    in phases, for the whole map at once: one number a pixel.
    """
    upsampling = Upsampling(reading.scores.to(reading.dtype), (labels.shape[1], labels.shape[2]), reading.origin)
    plain = undisplaced_losses(upsampling, labels, criterion)

    def judge(band: RowBand, losses: Tensor) -> Judgement:
        costly = unimproved(losses, plain[band.images, band.rows], ties)
        return Judgement(_weights(costly, losses, penalty))

    return judge


def regression_judge(reading: Reading, labels: Tensor, criterion: Criterion, penalty: float, window: int) -> Judge:
    """Eq. 4: a pixel is pulled to the coarse location nearby of least loss and weighs `1 + penalty` unless it is best
    where it reads.
    """
    table = coarse_losses(
        reading.scores.to(reading.dtype), weight=criterion.weight, label_smoothing=criterion.smoothing
    )

    def judge(band: RowBand, losses: Tensor) -> Judgement:
        candidates = corner_candidates(
            table[band.images],
            labels[band.images],
            origin=reading.origin,
            ignore_index=criterion.ignore_index,
            window=window,
            rows=(band.rows.start, band.rows.stop),
        )
        offsets = reading.displacements(band)
        target, moved = best_displacement(losses, offsets, candidates)
        ignored = ~is_valid(labels[band.images, band.rows], criterion.ignore_index)
        away = torch.sub(offsets, target, out=target).masked_fill_(ignored[:, None], 0)
        slope = away.clamp(-1, 1)
        pull = away.sub_(slope, alpha=0.5).mul_(slope).sum()  # smooth L1: d² / 2, or |d| - 1/2 from 1 on
        return Judgement(_weights(moved, losses, penalty), pull / offsets.shape[1], slope.div_(offsets.shape[1]))

    return judge


def _weights(costly: Tensor, losses: Tensor, penalty: float) -> Tensor:
    return torch.ones_like(losses).masked_fill_(costly, 1 + penalty)
