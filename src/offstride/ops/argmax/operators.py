"""Label maps, confidences and confusion counts as operators of torch, with shapes for `torch.compile`; none of them has
gradients. `impl` names the module that does the work, or is "auto".
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from offstride.ops.cross_entropy import operators as cross_entropy
from offstride.ops.grid import coordinate_dtype
from offstride.ops.implementation import serving
from offstride.ops.labels import label_dtype

_serving = partial(serving, "offstride.ops.argmax")


@torch.library.custom_op("offstride::upsample_argmax", mutates_args=())
def labels(scores: Tensor, offsets: Tensor | None, size: Sequence[int], origin: str, impl: str) -> Tensor:
    """`(B, H, W)` uint8 or int64."""
    return _serving("labels", impl, scores, offsets)(scores, offsets, tuple(size), origin=origin)


@labels.register_fake
def _(scores, offsets, size, origin, impl):
    return scores.new_empty((scores.shape[0], *size), dtype=label_dtype(scores.shape[1]))


@torch.library.custom_op("offstride::upsample_confidence", mutates_args=())
def confidence(scores: Tensor, offsets: Tensor | None, size: Sequence[int], origin: str, impl: str) -> Tensor:
    """`(B, H, W)`."""
    shares = _serving("confidence", impl, scores, offsets)(scores, offsets, tuple(size), origin=origin)
    return shares.to(coordinate_dtype(scores.dtype))


@confidence.register_fake
def _(scores, offsets, size, origin, impl):
    return scores.new_empty((scores.shape[0], *size), dtype=coordinate_dtype(scores.dtype))


@torch.library.custom_op("offstride::upsample_confusion", mutates_args=())
def confusion(
    scores: Tensor, offsets: Tensor | None, target: Tensor, origin: str, ignore_index: int, impl: str
) -> Tensor:
    """`(C, C)` int64.

    Raises:
        ValueError: If a valid pixel holds no class (looked at on a CPU only; elsewhere the look would wait for the
            device).
    """
    count = _serving("confusion", impl, scores, offsets)
    if target.device.type == "cpu":
        cross_entropy.label_weight(target, None, scores.shape[1], ignore_index)
    return count(scores, offsets, target, origin=origin, ignore_index=ignore_index)


@confusion.register_fake
def _(scores, offsets, target, origin, ignore_index, impl):
    return scores.new_empty((scores.shape[1], scores.shape[1]), dtype=torch.int64)
