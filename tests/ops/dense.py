"""The dense reference of the fused losses, an equation at a time, in the precision of its arguments."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

ORIGINS = ("center", "corner", "aligned")


@dataclass(frozen=True)
class Options:
    """What the cross-entropy and the location-aware terms depend on."""

    origin: str = "center"
    weight: torch.Tensor | None = None
    label_smoothing: float = 0.0
    ignore_index: int = 255
    guided: float | None = None
    regression: float | None = None
    window: int = 1
    ties: str = "penalize"

    def of_loss(self):
        names = ("origin", "weight", "label_smoothing", "ignore_index")
        return {name: getattr(self, name) for name in names}

    def of_place(self):
        return {name: getattr(self, name) for name in ("guided", "regression", "window", "ties")}


# The reference: everything dense, coordinates as floating-point numbers of double precision.


def coordinates(fine, coarse, origin):
    i = torch.arange(fine, dtype=torch.float64)
    if origin == "aligned":
        return i * (coarse - 1) / max(fine - 1, 1)
    return (i + 0.5) * coarse / fine - 0.5 if origin == "center" else i * coarse / fine


def floor_and_ceil(fine, coarse, origin):
    """Whole coordinates may be off by rounding."""
    place = coordinates(fine, coarse, origin)
    return (place + 1e-9).floor().long(), (place - 1e-9).ceil().long()


def read(scores, y, x):
    """Bilinear reading at (B, M, H, W) coordinates, clamped: gradient 0 outside, v(i + 1) - v(i) at a whole i."""
    (B, C, h, w), M = scores.shape, y.shape[1]

    def clamped(place, size):
        place = torch.where(((place - place.round()).abs() < 1e-9), place.round() + (place - place.detach()), place)
        return torch.where((place >= 0) & (place <= size - 1), place, place.detach().clamp(0, size - 1))

    y, x = clamped(y, h), clamped(x, w)
    total = 0
    for dy in (0, 1):
        for dx in (0, 1):
            low_y, low_x = y.detach().floor(), x.detach().floor()
            weight_y, weight_x = (y - low_y if dy else 1 - y + low_y), (x - low_x if dx else 1 - x + low_x)
            index = (low_y + dy).clamp(max=h - 1) * w + (low_x + dx).clamp(max=w - 1)
            groups = scores.reshape(B, M, C // M, h * w)
            found = groups.gather(3, index.long().flatten(2)[:, :, None].expand(-1, -1, C // M, -1))
            total = total + found.unflatten(3, y.shape[2:]) * (weight_y * weight_x)[:, :, None]
    return total.flatten(1, 2)


def render(scores, offsets, origin):
    (h, w), (H, W) = scores.shape[2:], offsets.shape[2:]
    y, x = offsets[:, 0::2] + coordinates(H, h, origin)[:, None], offsets[:, 1::2] + coordinates(W, w, origin)
    return read(scores, y, x)


def dense_pixels(rendered, labels, options):
    """Losses of every pixel, as torch counts them; 0 where ignored."""
    weight = None if options.weight is None else options.weight.to(rendered)
    ignored = labels.long() == options.ignore_index
    losses = F.cross_entropy(
        rendered,
        labels.long().masked_fill(ignored, 0),
        weight=weight,
        label_smoothing=options.label_smoothing,
        reduction="none",
    )
    return torch.where(ignored, 0.0, losses)


def exceeds(one, other, noise):
    return one > other * (1 + noise) + 1e-6


NOISE = 2**13 * torch.finfo(torch.float64).eps


def dense_located(scores, offsets, labels, divisors, options, noise=NOISE):
    """Eq. 3 and 4."""
    own = dense_pixels(render(scores, offsets, options.origin), labels, options)
    one = torch.ones_like(own)
    if options.regression is None and options.guided is None:
        return own.sum() / divisors[0]
    if options.regression is None:
        plain = dense_pixels(render(scores, torch.zeros_like(offsets), options.origin), labels, options)
        costly = exceeds(own, plain, noise) if options.ties == "spare" else ~exceeds(plain, own, noise)
        return (own * torch.where(costly.detach(), one + options.guided, one)).sum() / divisors[0]
    best, target = own.detach(), offsets.detach()
    for losses, displacement in places(scores, labels, options):
        better = losses < best
        best = torch.where(better, losses, best)
        target = torch.where(better[:, None], displacement.repeat(1, offsets.shape[1] // 2, 1, 1), target)
    moved = exceeds(own.detach(), best, noise)
    target = torch.where(moved[:, None], target, offsets.detach())
    pull = F.smooth_l1_loss(offsets, target, reduction="none").mean(1)
    pull = torch.where(labels.long() == options.ignore_index, 0.0, pull)
    total = (own * torch.where(moved, one + (options.guided or 0.0), one)).sum() / divisors[0]
    return total + options.regression * pull.sum() / divisors[1]


def places(scores, labels, options):
    """Candidates of Eq. 4: losses (B, H, W) and displacements (1, 2, H, W)."""
    (h, w), (H, W), reach = scores.shape[2:], labels.shape[1:], options.window - 1
    axes = []
    for fine, coarse in ((W, w), (H, h)):
        low, high = floor_and_ceil(fine, coarse, options.origin)
        pixels = [low - r for r in range(reach, -1, -1)] + [high + r for r in range(reach + 1)]
        axes.append([pixel.clamp(0, coarse - 1) for pixel in pixels])
    for column in axes[0]:
        for row in axes[1]:
            losses = dense_pixels(scores.detach()[:, :, row][..., column], labels, options)
            y = (row - coordinates(H, h, options.origin))[:, None].expand(H, W)
            x = (column - coordinates(W, w, options.origin)).expand(H, W)
            yield losses, torch.stack((y, x))[None]


# Cases.


def case(coarse=(5, 6), fine=(20, 18), *, B=2, C=4, M=1, scale=1.0, labels=torch.int64, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = scale * torch.randn(B, C, *coarse, generator=generator, dtype=torch.float64)
    offsets = torch.randn(B, 2 * M, *fine, generator=generator, dtype=torch.float64)
    index = torch.randint(0, C, (B, *fine), generator=generator)
    index[torch.rand(index.shape, generator=generator) < 0.15] = 255
    return scores.to(dtype), offsets.to(dtype), index.to(labels)


def class_weights(C):
    return torch.arange(1, C + 1) / C


DIVISORS = torch.tensor([37.0, 11.0])

SIZES = [
    ((5, 6), (20, 18)),
    ((3, 4), (15, 8)),
    ((4, 5), (4, 5)),
    ((5, 7), (13, 17)),
    ((4, 3), (27, 10)),
    ((7, 6), (3, 4)),
    ((1, 1), (6, 5)),
    ((1, 4), (1, 11)),
    ((2, 1), (9, 1)),
]
