"""Coarse scores as a network might give them, made from a segmentation alone.

Shapes: C classes, N pixels on either side of a square crop, n×n coarse grid, k its stride.
"""

import random
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.grid import Origin

SHIFTS = (0, 2, 4, 8)
"""Strengths of the displacement of borders, in pixels."""
BLURS = (1.0, 1.5, 2.0, 3.0)
"""Widths of the window that scores average over, in strides."""
RAREST = 2e-3
"""Share of the pixels from which on a rarer class is not raised further."""


class Chance(NamedTuple):
    """Both sources of randomness of a run."""

    plain: random.Random
    tensors: torch.Generator


def coarse_size(side: int, stride: int, origin: Origin) -> int:
    """Side n of the coarse grid of a crop."""
    return side // stride if origin == "center" else (side - 1) // stride + 1


def simulated_scores(
    labels: Tensor, classes: int, stride: int, origin: Origin, chance: Chance, sharp: bool = False
) -> Tensor:
    """`(C, n, n)` logits of `(N, N)` labels: borders are displaced by a smooth random field, classes averaged over
    windows of 1 to 3 strides, raised by noise, turned into logits of a random temperature, and disturbed smoothly. Half
    of the time rare classes are raised, as training with class weights does, and half of the time any class is.

    Args:
        labels: Classes of the pixels of a crop.
        classes: Number of classes.
        stride: Stride of the scores.
        origin: Their pixel convention.
        chance: Source of randomness.
        sharp: Scores as those of a fine decoder: mostly undisplaced, averaged over one coarse pixel at most, and sure.
    """
    plain = chance.plain
    shares = F.one_hot(labels, classes).permute(2, 0, 1)[None].float()
    shift = 0 if sharp and plain.random() < 0.7 else plain.choice(SHIFTS)
    if shift:
        shares = _displaced(shares, shift, chance)
    if sharp:
        averaged, floor = _sharp(shares, stride, origin), plain.choice((0.05, 0.01, 0.002))
    else:
        averaged, floor = _averaged(shares, stride, plain.choice(BLURS), origin), 0.05
    raised = (averaged + floor * torch.rand(averaged.shape, generator=chance.tensors)).clamp(min=1e-3)
    scores = (raised / raised.sum(1, keepdim=True)).log() * plain.uniform(0.7, 2.5)
    if not sharp:
        scores = scores + _leaning(labels, classes, chance)
    noise = torch.randn(1, classes, 5, 5, generator=chance.tensors)
    return (scores + 0.3 * F.interpolate(noise, scores.shape[2:], mode="bilinear", align_corners=True))[0]


def _leaning(labels: Tensor, classes: int, chance: Chance) -> Tensor:
    """`(1, C, 1, 1)` logits by which a network prefers classes wherever it is: borders then lie too far outside of
    them all along, and thin things are too wide.
    """
    leaning = torch.zeros(classes)
    if chance.plain.random() < 0.5:
        frequency = torch.bincount(labels.flatten(), minlength=classes) / labels.numel()
        leaning -= chance.plain.uniform(0, 0.8) * (frequency + RAREST).log()
    if chance.plain.random() < 0.5:
        leaning += torch.randn(classes, generator=chance.tensors)
    return leaning.view(1, -1, 1, 1)


def _sharp(shares: Tensor, stride: int, origin: Origin) -> Tensor:
    """`(1, C, n, n)` means over coarse pixels, or the pixels at their places."""
    if origin == "center":
        return F.avg_pool2d(shares, stride)
    return shares[:, :, ::stride, ::stride]


def _displaced(maps: Tensor, shift: float, chance: Chance) -> Tensor:
    """`(1, C, N, N)` maps, read at places that a smooth field moves by about so many pixels."""
    knots, side = chance.plain.choice((6, 6, 12)), maps.shape[-1]
    field = torch.randn(1, 2, knots, knots, generator=chance.tensors)
    field = F.interpolate(field, (side, side), mode="bicubic", align_corners=True) * (2 * shift / side)
    still = F.affine_grid(torch.eye(2, 3)[None], [1, 1, side, side], align_corners=False)
    return F.grid_sample(maps, still + field.permute(0, 2, 3, 1), align_corners=False, padding_mode="border")


def _averaged(shares: Tensor, stride: int, blur: float, origin: Origin) -> Tensor:
    """`(1, C, n, n)` means over windows of `blur` strides around the places of the coarse grid."""
    side, step = shares.shape[-1], max(1, stride // 2)
    half = max(2, int(stride * blur) // 2 * 2) // 2
    padded = F.pad(shares, (half,) * 4, mode="replicate")
    means = F.avg_pool2d(padded, 2 * half + 1, step)  # place i is around pixel i · step
    place = torch.arange(coarse_size(side, stride, origin)) * float(stride)
    place = (place + (stride - 1) / 2 if origin == "center" else place) / step
    axis = (2 * place + 1) / means.shape[-1] - 1
    grid = torch.stack(torch.broadcast_tensors(axis, axis[:, None]), -1)[None]
    return F.grid_sample(means, grid, align_corners=False, padding_mode="border")
