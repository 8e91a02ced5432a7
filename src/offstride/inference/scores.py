"""What models return, and the class scores in it."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Predict = Callable[[Tensor], Any]
"""From `(B, 3, H, W)` images to class scores, in any form that `scores_of` finds them in."""


def scores_of(output: object) -> object:
    """The class scores in what a model returns, before any softmax.

    Args:
        output: A field or a tensor is taken as it is; of a mapping the entry `"out"` (segmentation models of
            torchvision) or `"logits"`; of another object the attribute `logits` (outputs of transformers).

    Returns:
        The scores, or the output itself where there are none; it is for the caller to look at what it got.
    """
    if isinstance(output, Mapping):
        return next((output[name] for name in ("out", "logits") if name in output), output)
    return getattr(output, "logits", output)
