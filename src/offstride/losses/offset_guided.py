"""Offset-guided loss (LaU, Eq. 3): a pixel that displacement has not improved costs more."""

from typing import get_args

import torch
from torch import Tensor

from offstride.field import Across, LocatedField, LogitField, check_labels, pixel_losses
from offstride.losses.location import Normalize, divisor, undisplaced
from offstride.ops.cross_entropy import NO_TERMS, located_loss, penalised
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.location import Ties, unimproved


def offset_guided_loss(
    field: LogitField,
    labels: Tensor,
    *,
    penalty: float = 0.3,
    ties: Ties = "penalize",
    normalize: Normalize = "valid",
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
    across: Across | None = None,
) -> Tensor:
    """Mean of `L · (1 + λ · [not L < L′])`: L the loss of the field, L′ that of plain bilinear upsampling of the same
    scores, without gradient.

    Args:
        field: Location-aware field of shape `(B, C, H, W)`.
        labels: `(B, H, W)` integer classes.
        penalty: λ, 0.3 in the paper.
        ties: Whether `L = L′` is penalised, as Eq. 3 says (staying put must not pay), or spared, as in the released
            code.
        normalize: Divide by `"valid"` pixels (or their class weights), or by `"all"` pixels as in the released code.
        weight: `(C,)` class weights.
        label_smoothing: Share of the target spread over all classes.
        ignore_index: Label of pixels that do not count.
        across: Turns this batch's count into what `"valid"` divides by, see `offstride.field.Across`.

    Returns:
        Scalar.

    Raises:
        ValueError: If the field has no offsets, or arguments do not fit.
    """
    if ties not in get_args(Ties):
        raise ValueError(f"ties: expected one of {get_args(Ties)}, got {ties!r}")
    options = {"weight": weight, "label_smoothing": label_smoothing, "ignore_index": ignore_index}
    plain = undisplaced(field)
    target, count = check_labels(field, labels, ignore_index, weight=weight, label_smoothing=label_smoothing)
    divided_by = divisor(normalize, labels, count, across)
    if isinstance(field, LocatedField):
        divisors = torch.stack((divided_by, divided_by))
        place = (field.scores, field.offsets, target, divisors)
        terms = NO_TERMS | {"guided": penalty, "ties": ties}
        return located_loss(*place, origin=field.origin, **terms, **options)
    losses = pixel_losses(field, target, **options)
    with torch.no_grad():
        worse = unimproved(losses, pixel_losses(plain, target, **options), ties)
    return penalised(losses, worse, penalty).sum() / divided_by
