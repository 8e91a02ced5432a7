"""Cross-entropy per pixel of scores that are already rendered, and what its mean divides by.

Shapes: scores (B, C, H, W), labels (B, H, W) integer.
"""

import torch.nn.functional as F
from torch import Tensor

from offstride.ops.grid import coordinate_dtype
from offstride.ops.labels import IGNORE_INDEX, is_valid


def pixel_cross_entropy(
    scores: Tensor,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Cross-entropy of each pixel as `torch.nn.functional.cross_entropy(reduction="none")`, in float32 or better, for
    any integer labels.

    Returns:
        `(B, H, W)`; 0 where the label is `ignore_index`.
    """
    scores = scores.to(coordinate_dtype(scores.dtype))
    weight = None if weight is None else weight.to(scores)
    return F.cross_entropy(
        scores,
        labels.long(),
        weight=weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction="none",
    )


def label_weight(labels: Tensor, *, weight: Tensor | None = None, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """What the mean of a cross-entropy divides by: the number of valid pixels, or the sum of their class weights.
    Float32 scalar.
    """
    valid = is_valid(labels, ignore_index)
    if weight is None:
        return valid.sum().float()
    return weight[labels[valid].long()].sum().float()
