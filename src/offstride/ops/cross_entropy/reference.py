"""The dense form: render all scores, then `torch.nn.functional.cross_entropy`. Any device, any number type,
differentiable as often as wanted; it holds the full-resolution scores, so it serves as the reference and where nothing
else can.

Shapes: scores (B, C, h, w), offsets (B, 2M, H, W), labels (B, H, W).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.grid import Origin, coordinate_dtype
from offstride.ops.interpolate import bilinear_rows
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.location import Ties, best_displacement, coarse_losses, corner_candidates, unimproved
from offstride.ops.sample import located_sample


def pixel_cross_entropy(
    scores: Tensor,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Cross-entropy of each pixel as `torch.nn.functional.cross_entropy(reduction="none")`, in float32 or better, for
    any integer labels.

    Returns:
        `(B, H, W)`; 0 where the label is `ignore_index`.
    """
    scores = scores.to(coordinate_dtype(scores.dtype))
    weight = None if weight is None else weight.to(scores)
    return F.cross_entropy(
        scores,
        labels.long(),
        weight=weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction="none",
    )


def bilinear(scores: Tensor, labels: Tensor, divisor: Tensor, *, origin: Origin, **options) -> Tensor:
    """Sum of the pixel losses of bilinearly upsampled scores over `divisor`; `options` as for `pixel_cross_entropy`."""
    return bilinear_pixels(scores, labels, origin=origin, **options).sum() / divisor


def bilinear_pixels(scores: Tensor, labels: Tensor, *, origin: Origin, **options) -> Tensor:
    """`(B, H, W)` losses of bilinearly upsampled scores."""
    size = (labels.shape[1], labels.shape[2])
    rendered = bilinear_rows(scores, size, (0, size[0]), origin=origin, coarse=scores.shape[2])
    return pixel_cross_entropy(rendered, labels, **options)


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
    ties: Ties,
    **options,
) -> Tensor:
    """Location-aware upsampling with the losses of LaU, Eqs. 3 and 4; see `offstride.ops.located_cross_entropy`."""
    losses = located_pixels(scores, offsets, labels, origin=origin, **options)
    ignore_index = options["ignore_index"]
    if regression is not None:
        weighted = {name: options[name] for name in ("weight", "label_smoothing")}
        coarse = coarse_losses(scores, **weighted)
        candidates = corner_candidates(coarse, labels, origin=origin, ignore_index=ignore_index, window=window)
        offsets = offsets.to(coordinate_dtype(offsets.dtype))
        target, moved = best_displacement(losses, offsets, candidates)
        pull = F.smooth_l1_loss(offsets, target, reduction="none").mean(1).sum()  # 0 where nothing has to move
        return penalised(losses, moved, guided or 0.0).sum() / divisors[0] + regression * pull / divisors[1]
    if guided is not None:
        with torch.no_grad():
            still = offsets.new_zeros(()).expand(offsets.shape[0], 2, *offsets.shape[2:])
            plain = located_pixels(scores, still, labels, origin=origin, **options)
        losses = penalised(losses, unimproved(losses.detach(), plain, ties), guided)
    return losses.sum() / divisors[0]


def located_pixels(scores: Tensor, offsets: Tensor, labels: Tensor, *, origin: Origin, **options) -> Tensor:
    """`(B, H, W)` losses of location-aware upsampling."""
    return pixel_cross_entropy(located_sample(scores, offsets, origin=origin), labels, **options)


def penalised(losses: Tensor, mask: Tensor, penalty: float) -> Tensor:
    """Weigh losses by `1 + penalty` where the mask is set (Λ of LaU, Eq. 3)."""
    return losses * torch.ones_like(losses).masked_fill(mask, 1 + penalty)
