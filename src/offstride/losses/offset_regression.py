"""Offset-regression loss (LaU, Eq. 4): a pixel is drawn to the corner of its cell that predicts its label best."""

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.field import Across, LocatedField, LogitField, check_labels, pixel_losses
from offstride.losses.location import Normalize, divisor, located
from offstride.ops.cross_entropy import NO_TERMS, located_loss, penalised
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.location import best_displacement, coarse_losses, corner_candidates


def offset_regression_loss(
    field: LogitField,
    labels: Tensor,
    *,
    penalty: float = 0.3,
    strength: float = 0.1,
    window: int = 1,
    normalize: Normalize = "valid",
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
    across: Across | None = None,
) -> Tensor:
    """Mean of `γ · smooth-L1(Θ_opt - Θ) + L · (1 + λ · [a corner is better])`.

    Θ_opt is where the loss is least among the field's own position Θ and the four corners around the undisplaced pixel,
    in that order; the corners' losses come from the coarse scores without gradient. Smooth-L1 (β = 1) is averaged over
    the two axes (and over offset groups).

    Args:
        field: Location-aware field of shape `(B, C, H, W)`.
        labels: `(B, H, W)` integer classes.
        penalty: λ, 0.3 in the paper.
        strength: γ, 0.1 in the paper.
        window: Coarse locations that are looked at on every side of a pixel; 1 are the four corners, as in the paper.
        normalize: Divide by `"valid"` pixels (the cross-entropy by their class weights), or by `"all"` pixels as in the
            released code.
        weight: `(C,)` class weights.
        label_smoothing: Share of the target spread over all classes.
        ignore_index: Label of pixels that do not count.
        across: Turns this batch's counts into what `"valid"` divides by, see `offstride.field.Across`.

    Returns:
        Scalar.

    Raises:
        ValueError: If the field has no offsets, or arguments do not fit.
    """
    options = {"weight": weight, "label_smoothing": label_smoothing, "ignore_index": ignore_index}
    place = located(field)
    target, count = check_labels(field, labels, ignore_index, weight=weight, label_smoothing=label_smoothing)
    pixels = count if weight is None else check_labels(field, labels, ignore_index).valid
    divisors = torch.stack([divisor(normalize, labels, each, across) for each in (count, pixels)])
    terms = NO_TERMS | {"guided": penalty, "regression": strength, "window": window}
    if isinstance(field, LocatedField):
        found = (field.scores, field.offsets, target, divisors)
        return located_loss(*found, origin=field.origin, **terms, **options)
    losses = pixel_losses(field, target, **options)
    coarse = coarse_losses(place.scores, weight=weight, label_smoothing=label_smoothing)
    candidates = corner_candidates(coarse, target, origin=place.origin, ignore_index=ignore_index, window=window)
    best, better = best_displacement(losses, place.offsets, candidates)
    pull = F.smooth_l1_loss(place.offsets, best, reduction="none").mean(1).sum()  # 0 where ignored: the best is Θ there
    return penalised(losses, better, penalty).sum() / divisors[0] + strength * pull / divisors[1]
