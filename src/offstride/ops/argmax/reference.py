"""Label maps, confidences and confusion counts the plain way: from scores at full resolution, on any device.

Shapes: scores (B, C, h, w), offsets (B, 2M, H, W).
"""

import torch
from torch import Tensor

from offstride.ops.grid import Origin
from offstride.ops.interpolate import bilinear_rows
from offstride.ops.labels import is_valid, label_dtype
from offstride.ops.sample import located_sample


@torch.no_grad()
def labels(scores: Tensor, offsets: Tensor | None, size: tuple[int, int], *, origin: Origin) -> Tensor:
    """Most likely class of every pixel, the first of several: `(B, H, W)`, uint8 up to 256 classes and int64 above."""
    return _dense(scores, offsets, size, origin).argmax(1).to(label_dtype(scores.shape[1]))


@torch.no_grad()
def confidence(scores: Tensor, offsets: Tensor | None, size: tuple[int, int], *, origin: Origin) -> Tensor:
    """Softmax probability of the most likely class of every pixel: `(B, H, W)`, float32 or better."""
    return _dense(scores, offsets, size, origin).softmax(1).amax(1)


@torch.no_grad()
def confusion(scores: Tensor, offsets: Tensor | None, target: Tensor, *, origin: Origin, ignore_index: int) -> Tensor:
    """`(C, C)` int64 numbers of pixels of every true class (rows) and most likely class (columns)."""
    best = labels(scores, offsets, (target.shape[1], target.shape[2]), origin=origin)
    return count_pairs(target, best, scores.shape[1], ignore_index)


def count_pairs(target: Tensor, best: Tensor, classes: int, ignore_index: int) -> Tensor:
    """Pixels of every pair of true and predicted class: `(C, C)` int64, rows are true classes, held by valid pixels."""
    pairs = target.long() * classes + best
    pairs = pairs.masked_fill_(~is_valid(target, ignore_index), classes**2)  # one more bin, for the ignored
    return torch.bincount(pairs.flatten(), minlength=classes**2 + 1)[:-1].view(classes, classes)


def _dense(scores: Tensor, offsets: Tensor | None, size: tuple[int, int], origin: Origin) -> Tensor:
    """`(B, C, H, W)`, float32 or better."""
    if offsets is not None:
        return located_sample(scores, offsets, origin=origin)
    return bilinear_rows(scores, size, (0, size[0]), origin=origin, coarse=scores.shape[2])
