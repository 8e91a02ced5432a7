"""The dense form: render all scores, then `torch.nn.functional.cross_entropy`. Any device, any number type,
differentiable as often as wanted; it holds the full-resolution scores, so it serves as the reference and where nothing
else can.

Shapes: scores (B, C, h, w), offsets (B, 2M, H, W) or None for bilinear upsampling, labels (B, H, W).
"""

from collections.abc import Iterator
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.cross_entropy.options import (
    CompleteOptions,
    CrossEntropyOptions,
    DisplacedOptions,
    Options,
    completed,
)
from offstride.ops.grid import coordinate_dtype
from offstride.ops.interpolate import bilinear_rows
from offstride.ops.location import Candidate, best_displacement, coarse_losses, corner_candidates, unimproved
from offstride.ops.sample import located_sample


def pixel_cross_entropy(scores: Tensor, labels: Tensor, **options: Unpack[CrossEntropyOptions]) -> Tensor:
    """Cross-entropy of each pixel as `torch.nn.functional.cross_entropy(reduction="none")`, in float32 or better, for
    any integer labels.

    Returns:
        `(B, H, W)`; 0 where the label is ignored.
    """
    scores, chosen = scores.to(coordinate_dtype(scores.dtype)), completed(**options)
    if chosen["weight"] is not None:
        chosen["weight"] = chosen["weight"].to(scores)
    return F.cross_entropy(scores, labels.long(), reduction="none", **chosen)


def loss(
    scores: Tensor, offsets: Tensor | None, labels: Tensor, divisors: Tensor, **options: Unpack[DisplacedOptions]
) -> Tensor:
    """Sum of the pixel losses over a divisor, with the terms of LaU, Eqs. 3 and 4, where there are offsets; see
    `offstride.ops.located_cross_entropy`.
    """
    placed: Options = {"origin": options["origin"], **_without_origin(options)}
    guided, regression = options["guided"], options["regression"]
    losses = pixels(scores, offsets, labels, **placed)
    if offsets is None:
        return losses.sum() / divisors[0]
    if regression is not None:
        candidates = _candidates(scores, labels, options)
        offsets = offsets.to(coordinate_dtype(offsets.dtype))
        target, moved = best_displacement(losses, offsets, candidates)
        pull = F.smooth_l1_loss(offsets, target, reduction="none").mean(1).sum()  # 0 where nothing has to move
        return penalised(losses, moved, guided or 0.0).sum() / divisors[0] + regression * pull / divisors[1]
    if guided is not None:
        with torch.no_grad():
            still = offsets.new_zeros(()).expand(offsets.shape[0], 2, *offsets.shape[2:])
            plain = pixels(scores, still, labels, **placed)
        losses = penalised(losses, unimproved(losses.detach(), plain, options["ties"]), guided)
    return losses.sum() / divisors[0]


def pixels(scores: Tensor, offsets: Tensor | None, labels: Tensor, **options: Unpack[Options]) -> Tensor:
    """`(B, H, W)` losses."""
    origin, H, W = options["origin"], *labels.shape[1:]
    if offsets is None:
        rendered = bilinear_rows(scores, (H, W), (0, H), origin=origin, coarse=scores.shape[2])
    else:
        rendered = located_sample(scores, offsets, origin=origin)
    return pixel_cross_entropy(rendered, labels, **_without_origin(options))


def penalised(losses: Tensor, mask: Tensor, penalty: float) -> Tensor:
    """Weigh losses by `1 + penalty` where the mask is set (Λ of LaU, Eq. 3)."""
    return losses * torch.ones_like(losses).masked_fill(mask, 1 + penalty)


def _candidates(scores: Tensor, labels: Tensor, options: DisplacedOptions) -> Iterator[Candidate]:
    coarse = coarse_losses(scores, weight=options["weight"], label_smoothing=options["label_smoothing"])
    origin, ignore_index, window = options["origin"], options["ignore_index"], options["window"]
    return corner_candidates(coarse, labels, origin=origin, ignore_index=ignore_index, window=window)


def _without_origin(options: Options) -> CompleteOptions:
    weight, smoothing, ignore_index = options["weight"], options["label_smoothing"], options["ignore_index"]
    return {"weight": weight, "label_smoothing": smoothing, "ignore_index": ignore_index}
