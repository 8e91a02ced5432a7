"""Label maps, confidences and confusion counts of upsampled scores by the C kernels.

Most cells between coarse pixels have one label throughout, which their corners tell; elsewhere few classes can win. No
other score is computed (label_task.h, labels.h). A NaN score never wins; a pixel whose offset is NaN gets any class.

Shapes: scores (B, C, h, w), offsets (B, 2, H, W).
"""

import torch
from torch import Tensor

from offstride.ops import native
from offstride.ops.cross_entropy import cpu as cross_entropy
from offstride.ops.cross_entropy.cpu import unusable
from offstride.ops.grid import Origin, origin_code
from offstride.ops.labels import label_dtype

__all__ = ["confidence", "confusion", "labels", "unusable"]

_NONE_IGNORED = -1


def labels(scores: Tensor, offsets: Tensor | None, size: tuple[int, int], *, origin: Origin) -> Tensor:
    """Most likely class of every pixel, the first of several: `(B, H, W)`, uint8 up to 256 classes and int64 above."""
    B, C = scores.shape[:2]
    best = torch.empty((B, *size), dtype=label_dtype(C))
    _run(scores, offsets, size, origin, labels=best)
    return best


def confidence(scores: Tensor, offsets: Tensor | None, size: tuple[int, int], *, origin: Origin) -> Tensor:
    """Softmax probability of the most likely class of every pixel: `(B, H, W)` float32. Its logarithm is minus the
    cross-entropy at this class.
    """
    options = {"origin": origin, "weight": None, "label_smoothing": 0.0, "ignore_index": _NONE_IGNORED}
    best = labels(scores, offsets, size, origin=origin)
    return cross_entropy.pixels(scores, offsets, best, **options).clamp_(min=0).neg_().exp_()


def confusion(scores: Tensor, offsets: Tensor | None, target: Tensor, *, origin: Origin, ignore_index: int) -> Tensor:
    """`(C, C)` int64 numbers of pixels of every true class (rows) and most likely class (columns). A thread holds the
    labels of a few rows, until it has counted them.
    """
    counts = torch.zeros((scores.shape[1], scores.shape[1]), dtype=torch.int64)
    size = (target.shape[1], target.shape[2])
    _run(scores, offsets, size, origin, counts=counts, target=target.contiguous(), ignore_index=ignore_index)
    return counts


def _run(
    scores: Tensor,
    offsets: Tensor | None,
    size: tuple[int, int],
    origin: Origin,
    *,
    ignore_index: int = _NONE_IGNORED,
    **given: Tensor,
) -> None:
    """Fill in `labels` or `counts` of a `target`. What pointers point at lives until the call is over."""
    B, C, h, w = scores.shape
    task = native.LabelTask(B=B, C=C, h=h, w=w, H=size[0], W=size[1], threads=torch.get_num_threads())
    tensors = {"scores": native.plain(scores), "offsets": native.plain(offsets), **given}
    for name, tensor in tensors.items():
        setattr(task, name, native.pointer(tensor))
    task.target_bytes = given["target"].element_size() if "target" in given else 0
    task.ignore_index, task.origin = ignore_index, origin_code(origin)
    native.labels(task)
