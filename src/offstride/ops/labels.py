"""Conventions of label maps, shared by every room."""

import torch
from torch import Tensor

IGNORE_INDEX = 255
"""Label of pixels that no loss and no metric counts."""


def is_valid(labels: Tensor, ignore_index: int) -> Tensor:
    """Where labels count; compared as numbers: torch would take -100 for 156 beside bytes."""
    limits = torch.iinfo(labels.dtype)
    if limits.min <= ignore_index <= limits.max:
        return labels != ignore_index
    return torch.ones_like(labels, dtype=torch.bool)


def label_dtype(classes: int) -> torch.dtype:
    """Type of label maps of so many classes: uint8 up to 256, int64 above."""
    return torch.uint8 if classes <= 256 else torch.int64
