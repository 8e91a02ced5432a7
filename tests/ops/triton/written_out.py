"""Upsampling and its losses written out densely in float64: what the kernels are compared with.

Scores (B, C, h, w), offsets (B, 2, H, W) or None, labels (B, H, W). Not a line of the library.
"""

import math
from fractions import Fraction

import torch
import torch.nn.functional as F

RELATIVE, ABSOLUTE = 2**-10, 1e-6
"""Losses that differ by less are equal up to rounding."""


def coordinates(fine, coarse, origin):
    if origin == "aligned":
        return [i * Fraction(coarse - 1, max(fine - 1, 1)) for i in range(fine)]
    shift = Fraction(1, 2) if origin == "center" else 0
    return [(i + shift) * Fraction(coarse, fine) - shift for i in range(fine)]


def axis(fine, coarse, origin, device):
    return torch.tensor([float(c) for c in coordinates(fine, coarse, origin)], dtype=torch.float64, device=device)


def clamp(coordinate, size):
    """The derivative is 1 on the map, edges included, and 0 outside."""
    on_map = (coordinate >= 0) & (coordinate <= size - 1)
    return torch.where(on_map, coordinate, coordinate.detach().clamp(0, size - 1))


def render(scores, offsets, size, origin):
    """(B, C, H, W) scores: the four pixels around each coordinate, gathered and weighted."""
    (B, C, h, w), (H, W) = scores.shape, size
    offsets = scores.new_zeros(B, 2, H, W) if offsets is None else offsets
    y = clamp(axis(H, h, origin, scores.device)[:, None] + offsets[:, 0], h)
    x = clamp(axis(W, w, origin, scores.device) + offsets[:, 1], w)
    top, left = y.detach().floor(), x.detach().floor()
    total = 0
    for i, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for j, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            index = i.clamp(max=h - 1) * w + j.clamp(max=w - 1)
            index = index.nan_to_num().long().flatten(1)[:, None].expand(B, C, H * W)
            total = total + (weight_y * weight_x)[:, None] * scores.flatten(2).gather(2, index).view(B, C, H, W)
    return total


def pixel_losses(scores, labels, weight=None, label_smoothing=0.0, ignore_index=255):
    weight = None if weight is None else weight.double()
    return F.cross_entropy(
        scores,
        labels.long(),
        weight=weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction="none",
    )


def exceeds(loss, other):
    return loss > other * (1 + RELATIVE) + ABSOLUTE


def guided(scores, offsets, labels, origin, penalty, ties, **options):
    """Eq. 3: the sum over pixels."""
    own = pixel_losses(render(scores, offsets, labels.shape[1:], origin), labels, **options)
    plain = pixel_losses(render(scores, None, labels.shape[1:], origin), labels, **options).detach()
    costly = exceeds(own.detach(), plain) if ties == "spare" else ~exceeds(plain, own.detach())
    return (own * torch.where(costly, 1 + penalty, 1.0)).sum()


def regression(scores, offsets, labels, origin, penalty, window, **options):
    """Eq. 4: the sums over pixels of the weighted losses and of the smooth-L1 distances."""
    (h, w), (H, W) = scores.shape[2:], labels.shape[1:]
    own = pixel_losses(render(scores, offsets, (H, W), origin), labels, **options)
    best, target = own.detach(), torch.zeros_like(offsets)
    for column in around(W, w, origin, window):
        for row in around(H, h, origin, window):
            rows, columns = torch.tensor(row, device=labels.device), torch.tensor(column, device=labels.device)
            losses = pixel_losses(scores.detach()[:, :, rows][..., columns], labels, **options)
            step = torch.broadcast_tensors(
                (rows - axis(H, h, origin, labels.device))[:, None], columns - axis(W, w, origin, labels.device)
            )
            target = torch.where((losses < best)[:, None], torch.stack(step), target)
            best = torch.minimum(best, losses)
    moved = exceeds(own.detach(), best)
    distance = F.smooth_l1_loss(offsets, torch.where(moved[:, None], target, offsets.detach()), reduction="none")
    return (own * torch.where(moved, 1 + penalty, 1.0)).sum(), distance.mean(1).sum()


def around(fine, coarse, origin, window):
    """Coarse pixels from `low - window + 1` to `high + window - 1` for each fine pixel, one list for each of them."""
    base = coordinates(fine, coarse, origin)
    steps = [[math.floor(c) + k for c in base] for k in range(1 - window, 1)]
    steps += [[math.ceil(c) + k for c in base] for k in range(window)]
    return [[min(max(i, 0), coarse - 1) for i in step] for step in steps]


def gradients(loss, *leaves):
    return torch.autograd.grad(loss, leaves)


def relative(found, expected):
    """Largest error in terms of the largest number."""
    return ((found.double() - expected).abs().max() / expected.abs().max().clamp(min=1e-30)).item()
