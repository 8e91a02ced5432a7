"""Label maps, confidences and confusion matrices straight from coarse scores.

Shapes: scores (B, C, h, w), offsets (B, 2, H, W) or None for bilinear upsampling.
"""

import torch
import triton
from torch import Tensor

from offstride.ops.argmax.triton.kernel import best_kernel
from offstride.ops.cross_entropy.triton.launch import device_of, launch
from offstride.ops.cross_entropy.triton.pack import pack
from offstride.ops.grid import Origin, origin_code
from offstride.ops.labels import label_dtype

PIXELS = 128
"""In one program."""

COUNTERS = 2**18
"""Confusions are counted in several copies, at most 64 with this many counters in all: most pixels meet a few of them,
and additions to one counter wait for each other.
"""


def labels(scores: Tensor, offsets: Tensor | None, size: tuple[int, int], *, origin: Origin) -> Tensor:
    """`(B, H, W)` classes, the first of several equally likely ones: uint8 up to 256 classes, else int64."""
    best = torch.empty(scores.shape[0], *size, dtype=label_dtype(scores.shape[1]), device=scores.device)
    _run(scores, offsets, size, origin, labels=best)
    return best


def confidence(scores: Tensor, offsets: Tensor | None, size: tuple[int, int], *, origin: Origin) -> Tensor:
    """`(B, H, W)` softmax probability of the most likely class, float32."""
    shares = torch.empty(scores.shape[0], *size, dtype=torch.float32, device=scores.device)
    _run(scores, offsets, size, origin, confidences=shares)
    return shares


def confusion(scores: Tensor, offsets: Tensor | None, target: Tensor, *, origin: Origin, ignore_index: int) -> Tensor:
    """`(C, C)` int64 counts of true class (rows) and predicted class. A label that is no class is not counted."""
    C = scores.shape[1]
    copies = min(max(COUNTERS // C**2, 1), 64)
    dtype = torch.int32 if target.numel() < 2**31 else torch.int64
    counts = torch.zeros(copies, C, C, dtype=dtype, device=scores.device)
    size = (target.shape[1], target.shape[2])
    _run(scores, offsets, size, origin, target=target, counts=counts, ignore_index=ignore_index)
    return counts.sum(0)


def _run(
    scores: Tensor,
    offsets: Tensor | None,
    size: tuple[int, int],
    origin: Origin,
    *,
    target: Tensor | None = None,
    labels: Tensor | None = None,
    confidences: Tensor | None = None,
    counts: Tensor | None = None,
    ignore_index: int = 0,
) -> None:
    """Fill what is given."""
    (B, C, h, w), (H, W) = scores.shape, size
    blocks = triton.cdiv(H * W, PIXELS)
    with device_of(scores):
        packed = pack(scores, shift=False).scores
        launch(
            best_kernel, B * blocks, packed, offsets, *((0,) * 4 if offsets is None else offsets.stride()),
            target, *((0,) * 3 if target is None else target.stride()), labels, confidences, counts,
            H, W, h, w, C, packed.shape[1] // 4, blocks, 1 if counts is None else counts.shape[0], ignore_index,
            ORIGIN=origin_code(origin), WIDE=2 * max(H * W, H * (h + 1), W * (w + 1)) >= 2**31,
            BP=PIXELS, num_warps=PIXELS // 32,
        )  # fmt: skip
