"""Location supervision: which coarse location near a pixel predicts its label best (LaU, §3.2.2).

The cross-entropy of label `t` at a coarse location `u` is `logsumexp(U[:, u]) - U[t, u]`: one coarse map gives the loss
of every candidate location of every pixel, and no candidate needs a full-resolution score map.

Shapes: scores (B, C, h, w) on the coarse grid, labels (B, H, W).
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from offstride.ops.grid import Origin, base_coordinates, coordinate_dtype, neighbors
from offstride.ops.labels import IGNORE_INDEX, is_valid

Ties = Literal["penalize", "spare"]
"""Whether LaU's Eq. 3 penalises equal losses (as printed) or spares them (as released)."""


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
    losses: Tensor,
    labels: Tensor,
    *,
    origin: Origin,
    ignore_index: int = IGNORE_INDEX,
    window: int = 1,
    rows: tuple[int, int] | None = None,
) -> Iterator[Candidate]:
    """The coarse locations around every undisplaced pixel: by default the four corners of its coarse cell, left top,
    left bottom, right top, right bottom (LaU, Fig. 4b).

    Args:
        losses: `(B, C, h, w)` from `coarse_losses`.
        labels: `(B, H, W)` integer classes.
        origin: Pixel convention.
        ignore_index: Label of pixels whose loss is 0.
        window: Reach of the search, 1 or more: `window` locations on every side, clamped to the map. Columns ascend
            slower than rows.
        rows: Half-open range of fine rows; all of them by default. The candidates then hold these rows only.
    """
    (h, w), (H, W) = losses.shape[2:], labels.shape[1:]
    start, stop = rows or (0, H)
    device, dtype = losses.device, losses.dtype
    y = base_coordinates(H, h, origin, rows=(start, stop), device=device, dtype=dtype)
    x = base_coordinates(W, w, origin, device=device, dtype=dtype)
    near_rows = _near(H, h, origin, (start, stop), window, device)
    near_columns = _near(W, w, origin, (0, W), window, device)
    band = labels[:, start:stop]
    ignored = ~is_valid(band, ignore_index)
    plane = band.masked_fill(ignored, 0).long() * (h * w)
    flat = losses.flatten(1)
    for column in near_columns:
        for row in near_rows:
            index = plane + (row[:, None] * w + column)
            near = flat.gather(1, index.flatten(1)).view_as(plane)
            yield Candidate(near.masked_fill_(ignored, 0), row - y, column - x)


def _near(
    fine: int, coarse: int, origin: Origin, rows: tuple[int, int], window: int, device: torch.device
) -> list[Tensor]:
    """The `2 · window` coarse pixels around each fine one along an axis, ascending and clamped to the map."""
    low, high = neighbors(fine, coarse, origin, rows=rows, device=device)
    before = [low - reach for reach in range(window - 1, -1, -1)]
    return [pixel.clamp(0, coarse - 1) for pixel in (*before, *(high + reach for reach in range(window)))]


def exceeds(losses: Tensor, reference: Tensor) -> Tensor:
    """Where losses are larger than those of a reference by more than rounding.

    Where a pixel is saturated or two places are one, losses are equal up to noise, which must not decide. In single
    precision the coordinates of `grid_sample` are the largest part of it, a thousandth of the loss on wide maps.
    """
    noise = 2**13 * torch.finfo(reference.dtype).eps
    return losses > reference * (1 + noise) + 1e-6


def unimproved(losses: Tensor, plain: Tensor, ties: Ties) -> Tensor:
    """Which pixels LaU's Eq. 3 penalises: all but those whose displacement has improved their loss, or, with
    `ties="spare"` (as in the released code), only those whose loss it has made worse.
    """
    return exceeds(losses, plain) if ties == "spare" else ~exceeds(plain, losses)


@torch.no_grad()
def best_displacement(own_losses: Tensor, offsets: Tensor, candidates: Iterator[Candidate]) -> tuple[Tensor, Tensor]:
    """The displacement of least loss among the current one and the candidates; the first of several minima wins (Θ_opt
    of LaU, Eq. 4).

    A candidate must be better by more than rounding to count, see `exceeds`.

    Args:
        own_losses: `(B, H, W)` losses at the current displacement.
        offsets: `(B, 2M, H, W)` current displacements.
        candidates: Other places to read.

    Returns:
        `(B, 2M, H, W)` best displacements, and a `(B, H, W)` mask of the pixels for which a candidate is better than
        the current one.
    """
    best = own_losses.detach()
    better, target_y, target_x = (torch.zeros_like(best) for _ in range(3))
    for losses, y, x in candidates:
        torch.lt(losses, best, out=better)  # 0 or 1, by which a number is chosen several times faster than by a mask
        best = torch.minimum(best, losses)
        torch.lerp(target_y, y[:, None].to(best), better, out=target_y)
        torch.lerp(target_x, x.to(best), better, out=target_x)
    moved = exceeds(own_losses.detach(), best)
    groups = offsets.shape[1] // 2
    target = torch.stack((target_y, target_x), 1).repeat(1, groups, 1, 1).to(offsets.dtype)
    return torch.where(moved[:, None], target, offsets.detach()), moved
