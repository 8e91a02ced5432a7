"""Loss of the scene's classes: "Context Encoding for Semantic Segmentation" (EncNet), Zhang et al., CVPR 2018, §3.2."""

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.cross_entropy.labels import CheckedLabels, check_ignoring
from offstride.ops.grid import coordinate_dtype
from offstride.ops.labels import IGNORE_INDEX, is_valid


def scene_loss(scores: Tensor, labels: Tensor | CheckedLabels, *, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Binary cross-entropy between scores for the presence of each class and the classes that an image's labels show
    ("SE loss"), whatever the size of their objects.

    The mean is over images and classes. An image without a valid pixel shows no class. EncNet adds it with weight 0.2.

    Args:
        scores: `(B, C)` scores before the sigmoid.
        labels: `(B, H, W)` integer classes, or what `offstride.field.check_labels` made of them.
        ignore_index: Label of pixels that do not count; checked labels know it.

    Returns:
        Scalar, float32 or better.

    Raises:
        ValueError: If the labels are no such map, or on a CPU contain a value that is no class.
    """
    if scores.ndim != 2:
        raise ValueError(f"scores: expected shape (B, C), got {tuple(scores.shape)}")
    checked = check_ignoring(labels, (*scores.shape, *labels.shape[-2:]), scores.device, ignore_index)
    scores = scores.to(coordinate_dtype(scores.dtype))
    return F.binary_cross_entropy_with_logits(scores, presence(checked).to(scores.dtype))


@torch.no_grad()
def presence(checked: CheckedLabels) -> Tensor:
    """`(B, C)` booleans: which classes the labels of an image show."""
    labels, C = checked.labels, checked.classes
    classes = labels.long().masked_fill(~is_valid(labels, checked.options["ignore_index"]), C)
    shown = torch.zeros(len(labels), C + 1, dtype=torch.bool, device=labels.device)
    return shown.scatter_(1, classes.flatten(1), True)[:, :C]
