"""Offset-regression loss (LaU, Eq. 4): a pixel is drawn to the corner of its cell that predicts its label best."""

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.field import Across, LocatedField, LogitField, check_labels
from offstride.losses.location import Normalize, divisor, located
from offstride.ops.cross_entropy.labels import CheckedLabels
from offstride.ops.cross_entropy.options import NO_TERMS, PENALTY, STRENGTH, CrossEntropyOptions, Terms
from offstride.ops.cross_entropy.reference import penalised
from offstride.ops.location import best_displacement, coarse_losses, corner_candidates


def offset_regression_loss(
    field: LogitField,
    labels: Tensor | CheckedLabels,
    *,
    penalty: float = PENALTY,
    strength: float = STRENGTH,
    window: int = NO_TERMS["window"],
    normalize: Normalize = "valid",
    across: Across | None = None,
    **options: Unpack[CrossEntropyOptions],
) -> Tensor:
    """Mean of `γ · smooth-L1(Θ_opt - Θ) + L · (1 + λ · [a corner is better])`.

    Θ_opt is where the loss is least among the field's own position Θ and the four corners around the undisplaced pixel,
    in that order; the corners' losses come from the coarse scores without gradient. Smooth-L1 (β = 1) is averaged over
    the two axes (and over offset groups).

    Args:
        field: Location-aware field of shape `(B, C, H, W)`.
        labels: `(B, H, W)` integer classes, or what `offstride.field.check_labels` made of them.
        penalty: λ.
        strength: γ.
        window: Coarse locations that are looked at on every side of a pixel; 1 are the four corners, as in the paper.
        normalize: Divide by `"valid"` pixels (the cross-entropy by their class weights), or by `"all"` pixels as in the
            released code.
        across: Turns this batch's counts into what `"valid"` divides by, see `offstride.field.Across`.
        **options: `weight`, `label_smoothing` and `ignore_index`; see `CrossEntropyOptions`.

    Returns:
        Scalar.

    Raises:
        ValueError: If the field has no offsets, or arguments do not fit.
    """
    place, checked = located(field), check_labels(field, labels, **options)
    divisors = torch.stack([divisor(normalize, checked, each, across) for each in (checked.total, checked.pixels)])
    if isinstance(field, LocatedField):
        terms = Terms(guided=penalty, regression=strength, window=window, ties=NO_TERMS["ties"])
        return field.location_loss(checked, divisors, terms)
    losses, chosen = field.pixel_losses(checked), checked.options
    coarse = coarse_losses(place.scores, weight=chosen["weight"], label_smoothing=chosen["label_smoothing"])
    around = {"origin": place.origin, "ignore_index": chosen["ignore_index"], "window": window}
    best, better = best_displacement(losses, place.offsets, corner_candidates(coarse, checked.labels, **around))
    pull = F.smooth_l1_loss(place.offsets, best, reduction="none").mean(1).sum()  # 0 where ignored: the best is Θ there
    return penalised(losses, better, penalty).sum() / divisors[0] + strength * pull / divisors[1]
