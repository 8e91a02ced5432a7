"""From 8-bit pixels to what networks read.

Shapes: images (…, 3, H, W), RGB.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize(image: Tensor, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Tensor:
    """Pixels in units of standard deviations around the mean.

    Args:
        image: `(…, 3, H, W)` uint8.
        mean: Mean of each colour channel, in 0 … 1 units.
        std: Standard deviation of each colour channel, in 0 … 1 units.

    Returns:
        The same shape in float32, contiguous whatever the strides of the image.
    """
    mean_, std_ = (torch.tensor(values)[:, None, None] for values in (mean, std))
    return image.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / (255 * std_)).sub_(mean_ / std_)


def check_statistics(mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise a `ValueError` unless `normalize` can take these."""
    in_range = all(0 <= value <= 1 for value in (*mean, *std)) and all(std)
    if len(mean) != 3 or len(std) != 3 or not in_range:
        raise ValueError(f"mean, std: expected three numbers in 0 … 1 each, no std of 0, got {mean!r} and {std!r}")
