"""Operations of the fused operators for `torch.utils.flop_counter`: those of the dense form that they stand for.

Convention: two operations for each multiply-add. Interpolation reads four values for every class of a pixel; gradients
cost as much again for the scores, and once more for offsets. Exponentials are not counted, as for torch's own softmax.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

import offstride.ops.argmax
import offstride.ops.cross_entropy  # noqa: F401 - both register operators

_PER_SCORE = 2 * 4


def _loss(scores: torch.Size, offsets: torch.Size | None, labels: torch.Size, *rest: Any, **_: Any) -> int:
    """Of losses, with their gradients if the last argument says so."""
    return (_passes(offsets) if rest[-1] is True else 1) * _PER_SCORE * scores[1] * prod(labels)


def _backward(grad: torch.Size, scores: torch.Size, offsets: torch.Size | None, *_: Any, **__: Any) -> int:
    return _passes(offsets) * _PER_SCORE * scores[1] * prod(grad)


def _map(scores: torch.Size, offsets: Any, size: Any, *_: Any, **__: Any) -> int:
    """Of a label map of a size, or of counts whose labels stand in its place."""
    return _PER_SCORE * scores[0] * scores[1] * prod(size[-2:])


def _passes(offsets: torch.Size | None) -> int:
    return 2 if offsets is None else 3


FORMULAS: dict[str, Callable[..., int]] = {
    "upsampled_cross_entropy": _loss,
    "upsampled_pixel_losses": _loss,
    "upsampled_pixel_losses_backward": _backward,
    "upsample_argmax": _map,
    "upsample_confidence": _map,
    "upsample_confusion": _map,
}
for name, formula in FORMULAS.items():
    register_flop_formula(getattr(torch.ops.offstride, name))(formula)
