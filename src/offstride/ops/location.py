"""Location supervision: which coarse location near a pixel predicts its label best (LaU, §3.2.2).

The cross-entropy of label `t` at a coarse location `u` is `logsumexp(U[:, u]) - U[t, u]`: one coarse map gives the loss
of every candidate location of every pixel, and no candidate needs a full-resolution score map.

Shapes: scores (B, C, h, w) on the coarse grid, labels (B, H, W).
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from offstride.ops.grid import Origin, base_coordinates, coordinate_dtype, neighbors
from offstride.ops.labels import IGNORE_INDEX, is_valid


class Candidate(NamedTuple):
    """One coarse location for every pixel: its `(B, H, W)` losses, and the `(H,)` and `(W,)` displacements (y, x) that
    lead to it.
    """

    losses: Tensor
    y: Tensor
    x: Tensor


@torch.no_grad()
def coarse_losses(scores: Tensor, *, weight: Tensor | None = None, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of every class at every coarse location: `(B, C, h, w)`, as `torch.nn.functional.cross_entropy`
    counts it.
    """
    scores = scores.to(coordinate_dtype(scores.dtype))
    losses = -scores.log_softmax(1)
    if weight is not None:
        losses = losses * weight.to(losses)[:, None, None]
    if label_smoothing:
        losses = (1 - label_smoothing) * losses + label_smoothing * losses.mean(1, keepdim=True)
    return losses


@torch.no_grad()
def corner_candidates(
    losses: Tensor, labels: Tensor, *, origin: Origin, ignore_index: int = IGNORE_INDEX
) -> Iterator[Candidate]:
    """The four corners of the coarse cell of every undisplaced pixel: left top, left bottom, right top, right bottom
    (LaU, Fig. 4b).

    Args:
        losses: `(B, C, h, w)` from `coarse_losses`.
        labels: `(B, H, W)` integer classes.
        origin: Pixel convention.
        ignore_index: Label of pixels whose loss is 0.
    """
    (h, w), (H, W) = losses.shape[2:], labels.shape[1:]
    device, dtype = losses.device, losses.dtype
    y, x = (base_coordinates(*axis, origin, device=device, dtype=dtype) for axis in ((H, h), (W, w)))
    tops, lefts = neighbors(H, h, origin, device=device), neighbors(W, w, origin, device=device)
    ignored = ~is_valid(labels, ignore_index)
    plane = labels.masked_fill(ignored, 0).long() * (h * w)
    flat = losses.flatten(1)
    for column in lefts:
        for row in tops:
            index = plane + row[:, None] * w + column
            corner = flat.gather(1, index.flatten(1)).view_as(plane)
            yield Candidate(corner.masked_fill_(ignored, 0), row - y, column - x)


@torch.no_grad()
def best_displacement(own_losses: Tensor, offsets: Tensor, candidates: Iterator[Candidate]) -> tuple[Tensor, Tensor]:
    """The displacement of least loss among the current one and the candidates; the first of several minima wins (Θ_opt
    of LaU, Eq. 4).

    A candidate must be better by more than rounding to count: where a pixel is saturated or reads the corner itself,
    losses are equal up to noise, which must not decide. In single precision the coordinates of `grid_sample` are the
    largest part of it, a thousandth of the loss on wide maps.

    Args:
        own_losses: `(B, H, W)` losses at the current displacement.
        offsets: `(B, 2M, H, W)` current displacements.
        candidates: Other places to read.

    Returns:
        `(B, 2M, H, W)` best displacements, and a `(B, H, W)` mask of the pixels for which a candidate is better than
        the current one.
    """
    best = own_losses.detach()
    target_y, target_x = (torch.zeros_like(best) for _ in "yx")
    for losses, y, x in candidates:
        better = losses < best
        best = torch.where(better, losses, best)
        target_y = torch.where(better, y[:, None], target_y)
        target_x = torch.where(better, x, target_x)
    noise = 2**13 * torch.finfo(best.dtype).eps
    moved = own_losses.detach() > best * (1 + noise) + 1e-6
    groups = offsets.shape[1] // 2
    target = torch.stack((target_y, target_x), 1).repeat(1, groups, 1, 1).to(offsets.dtype)
    return torch.where(moved[:, None], target, offsets.detach()), moved
