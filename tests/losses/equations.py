"""Location-aware upsampling and its losses written out densely from the paper (arXiv 1911.05250, §3.1.2 and §3.2).

One statement for each equation, every full-resolution tensor in memory, coordinates as exact fractions: slow, plain,
and without a line of the library, which is what it is compared with. Scores (B, C, h, w), offsets (B, 2M, H, W) as
(y, x) pairs, labels (B, H, W); `size` is the resolution of the labels where LaU is followed by bilinear upsampling.
"""

from fractions import Fraction
from math import ceil, floor

import torch

from offstride.ops.labels import IGNORE_INDEX

RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""Losses that differ by less are equal up to rounding, and equal losses do not beat each other in Eq. 4."""


def coordinates(fine, coarse, origin):
    """Undisplaced coarse coordinate of each fine pixel along an axis."""
    shift = Fraction(1, 2) if origin == "center" else 0
    return [(i + shift) * Fraction(coarse, fine) - shift for i in range(fine)]


def clamped(index, size):
    return max(0, min(size - 1, index))


def inside(coordinate, size):
    """Clamp to the map; the derivative is 1 on it, edge included, and 0 outside."""
    on_map = (coordinate >= 0) & (coordinate <= size - 1)
    return torch.where(on_map, coordinate, coordinate.detach().clamp(0, size - 1))


def axis(fine, coarse, origin):
    return torch.tensor([float(c) for c in coordinates(fine, coarse, origin)], dtype=torch.float64)


def interpolation_matrix(fine, coarse, origin):
    """(fine, coarse) weights of linear interpolation, repeated at the edge."""
    matrix = torch.zeros(fine, coarse, dtype=torch.float64)
    for i, c in enumerate(coordinates(fine, coarse, origin)):
        c = max(Fraction(0), min(Fraction(coarse - 1), c))
        matrix[i, floor(c)] += float(1 - (c - floor(c)))
        matrix[i, ceil(c)] += float(c - floor(c))
    return matrix


def bilinear(values, size, origin):
    rows = interpolation_matrix(size[0], values.shape[2], origin)
    columns = interpolation_matrix(size[1], values.shape[3], origin)
    return torch.einsum("yi,bcij,xj->bcyx", rows, values, columns)


def displaced(values, offsets, origin):
    """Eq. 2: every channel read at the coordinates of its offset group, clamped to the map."""
    (B, C, h, w), (H, W) = values.shape, offsets.shape[2:]
    each = C // (offsets.shape[1] // 2)
    read = []
    for c in range(C):
        m = c // each
        y = inside(axis(H, h, origin)[:, None] + offsets[:, 2 * m], h)
        x = inside(axis(W, w, origin) + offsets[:, 2 * m + 1], w)
        top, left = y.detach().floor(), x.detach().floor()
        total = 0
        for i, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
            for j, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
                index = i.clamp(max=h - 1) * w + j.clamp(max=w - 1)
                value = values[:, c].flatten(1).gather(1, index.long().flatten(1)).view(B, H, W)
                total = total + weight_y * weight_x * value
        read.append(total)
    return torch.stack(read, 1)


def render(values, offsets, origin, size=None):
    """ψ_LaU, and after it plain bilinear upsampling to the labels where LaU covers a part of the factor only."""
    mid = displaced(values, offsets, origin)
    return mid if size is None else bilinear(mid, size, origin)


def pixel_loss(scores, labels, weight=None, smoothing=0.0):
    """l(·): minus the sum over classes of target · class weight · log softmax; 0 where ignored."""
    C = scores.shape[1]
    valid = labels != IGNORE_INDEX
    one_hot = torch.zeros_like(scores).scatter_(1, torch.where(valid, labels.long(), 0)[:, None], 1.0)
    target = (1 - smoothing) * one_hot + smoothing / C
    if weight is not None:
        target = target * weight.double()[:, None, None]
    return -(target * scores.log_softmax(1)).sum(1) * valid


def divisor(labels, normalize, weight=None):
    valid = labels != IGNORE_INDEX
    if normalize == "all":
        return labels.numel()
    return valid.sum() if weight is None else weight.double()[labels[valid].long()].sum()


def mean_loss(scores, labels, weight=None, smoothing=0.0):
    return pixel_loss(scores, labels, weight, smoothing).sum() / divisor(labels, "valid", weight)


def exceeds(one, other):
    """By more than rounding, which must not decide."""
    return one > other * (1 + RELATIVE) + ABSOLUTE


def offset_guided(scores, offsets, labels, *, origin, size, penalty, ties, normalize, weight, smoothing):
    """Eq. 3. L and L′ differ in the first kernel only: ψ_LaU, and ψ_bilinear = ψ_LaU at Δ = 0."""
    own = pixel_loss(render(scores, offsets, origin, size), labels, weight, smoothing)
    plain = pixel_loss(render(scores, torch.zeros_like(offsets), origin, size), labels, weight, smoothing).detach()
    costly = exceeds(own, plain) if ties == "spare" else ~exceeds(plain, own)
    factor = 1 + penalty * costly.to(own)
    return (own * factor).sum() / divisor(labels, normalize, weight)


def offset_regression(scores, offsets, labels, *, origin, size, penalty, strength, normalize, weight, smoothing):
    """Eq. 4 with Ω = {L, L_lt, L_lb, L_rt, L_rb}; the first of several minima wins."""
    (h, w), (H, W) = scores.shape[2:], labels.shape[1:]
    own = pixel_loss(render(scores, offsets, origin, size), labels, weight, smoothing)
    offsets = offsets if size is None else bilinear(offsets, size, origin)
    groups = offsets.shape[1] // 2
    places, omega = [offsets.detach()], [own.detach()]
    for round_x in (floor, ceil):  # left, right
        for round_y in (floor, ceil):  # top, bottom
            rows = torch.tensor([clamped(round_y(c), h) for c in coordinates(H, h, origin)])
            columns = torch.tensor([clamped(round_x(c), w) for c in coordinates(W, w, origin)])
            omega.append(pixel_loss(scores[:, :, rows][..., columns], labels, weight, smoothing).detach())
            step = torch.stack(
                torch.broadcast_tensors((rows - axis(H, h, origin))[:, None], columns - axis(W, w, origin))
            )
            places.append(step.repeat(groups, 1, 1).expand_as(offsets))
    omega, places = torch.stack(omega), torch.stack(places)
    best, first = omega.min(0).values, omega.argmin(0)
    better = exceeds(own.detach(), best)
    first = torch.where(better, first, 0)
    optimum = places.gather(0, first[None, :, None].expand(1, -1, offsets.shape[1], -1, -1))[0]
    distance = (offsets - optimum).abs()
    smooth_l1 = torch.where(distance < 1, 0.5 * distance**2, distance - 0.5).mean(1)
    smooth_l1 = smooth_l1 * (labels != IGNORE_INDEX)
    factor = 1 + penalty * better.to(own)
    return strength * smooth_l1.sum() / divisor(labels, normalize) + (own * factor).sum() / divisor(
        labels, normalize, weight
    )
