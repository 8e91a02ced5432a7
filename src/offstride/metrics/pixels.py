"""Which pixels count, and what the metrics ask of them."""

import torch
from torch import Tensor

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_num_classes(num_classes: int) -> None:
    """Raise a `ValueError` unless there are 2 to 255 classes, as many as uint8 label maps can tell apart from 255."""
    if not 2 <= num_classes <= 255:
        raise ValueError(f"num_classes: expected 2 to 255, got {num_classes}")


def valid_pixels(prediction: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Mask of the pixels that count, those whose label is not `ignore_index`.

    Raises:
        ValueError: If the maps differ in shape, are not of integers, or hold a class outside 0 … num_classes - 1 in a
            pixel that counts.
    """
    if prediction.shape != label.shape:
        raise ValueError(f"prediction: expected the shape of label {(*label.shape,)}, got {(*prediction.shape,)}")
    valid = label != ignore_index
    for name, classes in (("prediction", prediction), ("label", label)):
        if classes.dtype not in _INTEGERS:
            raise ValueError(f"{name}: expected integers, got {classes.dtype}")
        _check_range(name, classes * valid, num_classes)
    return valid


def _check_range(name: str, classes: Tensor, num_classes: int) -> None:
    low, high = (int(end) for end in classes.aminmax()) if classes.numel() else (0, 0)
    if low < 0 or high >= num_classes:
        raise ValueError(f"{name}: expected classes 0 to {num_classes - 1}, got {low if low < 0 else high}")
