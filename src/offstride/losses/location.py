"""The location-aware losses: offset-guided (LaU, Eq. 3) and offset regression (LaU, Eq. 4)."""

from dataclasses import replace
from typing import Literal, Unpack, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.field import Across, BilinearField, LocatedField, LogitField, check_labels, divisor_of
from offstride.ops.cross_entropy.labels import CheckedLabels
from offstride.ops.cross_entropy.options import NO_TERMS, PENALTY, STRENGTH, CrossEntropyOptions, Terms
from offstride.ops.cross_entropy.reference import penalised
from offstride.ops.grid import coordinate_dtype
from offstride.ops.interpolate import bilinear_rows
from offstride.ops.location import Ties, best_displacement, coarse_losses, corner_candidates, unimproved

Normalize = Literal["valid", "all"]


def located(field: LogitField) -> LocatedField:
    """A location-aware field as coarse scores and their displacements at the resolution of the field.

    For LaU followed by bilinear upsampling they are the offsets upsampled bilinearly: as base coordinates are affine,
    this is where the composed field reads, to first order and up to clamping.

    Raises:
        ValueError: If the field reads no displaced positions.
    """
    if isinstance(field, LocatedField):
        return replace(field, offsets=field.offsets.to(coordinate_dtype(field.offsets.dtype)))
    if isinstance(field, BilinearField) and isinstance(field.source, LocatedField):
        inner, size = field.source, field.size
        offsets = bilinear_rows(inner.offsets, size, (0, size[0]), origin=field.origin, coarse=inner.offsets.shape[2])
        return replace(inner, offsets=offsets)
    raise _without_offsets(field)


def undisplaced(field: LogitField) -> LogitField:
    """The same field with all offsets 0: plain bilinear upsampling, rendered by the same steps, so that a pixel that
    stays put ties with it to the last bit.
    """
    if isinstance(field, BilinearField) and isinstance(field.source, LocatedField):
        return replace(field, source=undisplaced(field.source))
    if isinstance(field, LocatedField):
        B, _, H, W = field.offsets.shape
        return replace(field, offsets=field.offsets.new_zeros(()).expand(B, 2, H, W))
    raise _without_offsets(field)


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
    if ties not in get_args(Ties):
        raise ValueError(f"ties: expected one of {get_args(Ties)}, got {ties!r}")
    plain, checked = undisplaced(field), check_labels(field, labels, **options)
    divided_by = _divisor(normalize, checked, checked.total, across)
    if isinstance(field, LocatedField):
        terms = Terms(guided=penalty, regression=None, window=NO_TERMS["window"], ties=ties)
        return field.location_loss(checked, torch.stack((divided_by, divided_by)), terms)
    losses = field.pixel_losses(checked)
    with torch.no_grad():
        worse = unimproved(losses, plain.pixel_losses(checked), ties)
    return penalised(losses, worse, penalty).sum() / divided_by


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

    Args, result and errors are those of `offset_guided_loss`; class weights divide the cross-entropy alone. Also:

    Args:
        strength: γ.
        window: Coarse locations that are looked at on every side of a pixel; 1 are the four corners, as in the paper.
    """
    place, checked = located(field), check_labels(field, labels, **options)
    divisors = torch.stack([_divisor(normalize, checked, each, across) for each in (checked.total, checked.pixels)])
    if isinstance(field, LocatedField):
        terms = Terms(guided=penalty, regression=strength, window=window, ties=NO_TERMS["ties"])
        return field.location_loss(checked, divisors, terms)
    losses, chosen = field.pixel_losses(checked), checked.options
    coarse = coarse_losses(place.scores, weight=chosen["weight"], label_smoothing=chosen["label_smoothing"])
    around = {"origin": place.origin, "ignore_index": chosen["ignore_index"], "window": window}
    best, better = best_displacement(losses, place.offsets, corner_candidates(coarse, checked.labels, **around))
    pull = F.smooth_l1_loss(place.offsets, best, reduction="none").mean(1).sum()  # 0 where ignored: the best is Θ there
    return penalised(losses, better, penalty).sum() / divisors[0] + strength * pull / divisors[1]


def _divisor(normalize: Normalize, checked: CheckedLabels, count: Tensor, across: Across | None) -> Tensor:
    """What a sum over pixels is divided by: the valid ones (`count`), or all as in the released code."""
    if normalize not in get_args(Normalize):
        raise ValueError(f"normalize: expected one of {get_args(Normalize)}, got {normalize!r}")
    return torch.full_like(count, checked.labels.numel()) if normalize == "all" else divisor_of(count, across)


def _without_offsets(field: LogitField) -> ValueError:
    kind = type(field).__name__
    return ValueError(f"field: expected location-aware upsampling, got {kind}; location losses need offsets")
