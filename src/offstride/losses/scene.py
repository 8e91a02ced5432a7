"""Loss of the scene's classes: "Context Encoding for Semantic Segmentation" (EncNet), Zhang et al., CVPR 2018, §3.2."""

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.grid import coordinate_dtype
from offstride.ops.labels import IGNORE_INDEX, is_valid


def scene_loss(scores: Tensor, labels: Tensor, *, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Binary cross-entropy between scores for the presence of each class and the classes that an image's labels show
    ("SE loss"), whatever the size of their objects.

    The mean is over images and classes. An image without a valid pixel shows no class. EncNet adds it with weight 0.2.

    Args:
        scores: `(B, C)` scores before the sigmoid.
        labels: `(B, H, W)` integer classes.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar, float32 or better.

    Raises:
        ValueError: If the labels are no such map, or on a CPU contain a value that is no class.
    """
    if scores.ndim != 2:
        raise ValueError(f"scores: expected shape (B, C), got {tuple(scores.shape)}")
    present = presence(labels, scores, ignore_index)
    scores = scores.to(coordinate_dtype(scores.dtype))
    return F.binary_cross_entropy_with_logits(scores, present.to(scores.dtype))


@torch.no_grad()
def presence(labels: Tensor, scores: Tensor, ignore_index: int) -> Tensor:
    """`(B, C)` booleans: which classes the labels of an image show."""
    B, C = scores.shape
    _check_labels(labels, scores)
    valid = is_valid(labels, ignore_index)
    classes = labels.long().masked_fill(~valid, C)
    if labels.device.type == "cpu" and ((classes < 0) | (classes >= C))[valid].any():
        raise ValueError(f"labels: expected classes 0 to {C - 1} or {ignore_index}, got {labels[valid].max()}")
    shown = torch.zeros(B, C + 1, dtype=torch.bool, device=labels.device)
    return shown.scatter_(1, classes.flatten(1), True)[:, :C]


def _check_labels(labels: Tensor, scores: Tensor) -> None:
    if labels.ndim != 3 or len(labels) != len(scores):
        raise ValueError(f"labels: expected shape ({len(scores)}, H, W), got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected an integer type, got {labels.dtype}")
    if labels.device != scores.device:
        raise ValueError(f"labels: expected device {scores.device} as the scores, got {labels.device}")
