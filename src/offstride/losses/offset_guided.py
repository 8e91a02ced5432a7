"""Offset-guided loss (LaU, Eq. 3): a pixel that displacement has not improved costs more."""

from typing import Unpack

import torch
from torch import Tensor

from offstride.field import Across, LocatedField, LogitField, check_labels
from offstride.losses.location import Normalize, divisor, undisplaced
from offstride.ops.cross_entropy.labels import CheckedLabels
from offstride.ops.cross_entropy.options import NO_TERMS, PENALTY, CrossEntropyOptions, Terms, check_ties
from offstride.ops.cross_entropy.reference import penalised
from offstride.ops.location import Ties, unimproved


def offset_guided_loss(
    field: LogitField,
    labels: Tensor | CheckedLabels,
    *,
    penalty: float = PENALTY,
    ties: Ties = NO_TERMS["ties"],
    normalize: Normalize = "valid",
    across: Across | None = None,
    **options: Unpack[CrossEntropyOptions],
) -> Tensor:
    """Mean of `L · (1 + λ · [not L < L′])`: L the loss of the field, L′ that of plain bilinear upsampling of the same
    scores, without gradient.

    Args:
        field: Location-aware field of shape `(B, C, H, W)`.
        labels: `(B, H, W)` integer classes, or what `offstride.field.check_labels` made of them.
        penalty: λ.
        ties: Whether `L = L′` is penalised, as Eq. 3 says (staying put must not pay), or spared, as in the released
            code.
        normalize: Divide by `"valid"` pixels (or their class weights), or by `"all"` pixels as in the released code.
        across: Turns this batch's count into what `"valid"` divides by, see `offstride.field.Across`.
        **options: `weight`, `label_smoothing` and `ignore_index`; see `CrossEntropyOptions`.

    Returns:
        Scalar.

    Raises:
        ValueError: If the field has no offsets, or arguments do not fit.
    """
    check_ties(ties)
    plain, checked = undisplaced(field), check_labels(field, labels, **options)
    divided_by = divisor(normalize, checked, checked.total, across)
    if isinstance(field, LocatedField):
        terms = Terms(guided=penalty, regression=None, window=NO_TERMS["window"], ties=ties)
        return field.location_loss(checked, torch.stack((divided_by, divided_by)), terms)
    losses = field.pixel_losses(checked)
    with torch.no_grad():
        worse = unimproved(losses, plain.pixel_losses(checked), ties)
    return penalised(losses, worse, penalty).sum() / divided_by
