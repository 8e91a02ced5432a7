"""Operations of the fused operators for `torch.utils.flop_counter`: those of the dense form that they stand for.

Convention: two operations for each multiply-add. Interpolation reads four values for every class of a pixel; gradients
cost as much again for the scores, and once more for offsets. Exponentials are not counted, as for torch's own softmax.
"""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

import offstride.ops.argmax
import offstride.ops.cross_entropy  # noqa: F401 - both register operators

_PER_SCORE = 2 * 4


def _register(name: str, formula: Callable[..., int]) -> None:
    register_flop_formula(getattr(torch.ops.offstride, name))(formula)


def _loss(scores: torch.Size, *others: Any, labels: int, times: int, **_: Any) -> int:
    """Of a loss with its gradient, if the last argument says so; `labels` is the place of the labels."""
    passes = times if others[-1] is True else 1
    return passes * _PER_SCORE * scores[1] * prod(others[labels - 1])


def _backward(grad: torch.Size, scores: torch.Size, *_: Any, times: int, **__: Any) -> int:
    return times * _PER_SCORE * scores[1] * prod(grad)


def _map(scores: torch.Size, offsets: Any, size: Any, *_: Any, **__: Any) -> int:
    """Of a label map of a size, or of counts whose labels stand in its place."""
    return _PER_SCORE * scores[0] * scores[1] * prod(size[-2:])


for kind, place, gradients in (("bilinear", 1, 2), ("located", 2, 3)):
    _register(f"{kind}_cross_entropy", partial(_loss, labels=place, times=gradients))
    _register(f"{kind}_pixel_losses", partial(_loss, labels=place, times=gradients))
    _register(f"{kind}_pixel_losses_backward", partial(_backward, times=gradients))
for name in ("upsample_argmax", "upsample_confidence", "upsample_confusion"):
    _register(name, _map)
