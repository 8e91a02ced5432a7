"""The part of a map that counts."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def top_left(values: Tensor, size: Sequence[int]) -> Tensor:
    """The top left `(B, C, H, W)` of `(B, C, h, w)` values.

    Sizes that `torch.export` leaves open are symbols. A slice would settle for all images whether it is the whole map;
    padding by what is negative does not.
    """
    (h, w), (H, W) = values.shape[2:], size
    if all(isinstance(length, int) for length in (h, w, H, W)):
        return values[:, :, :H, :W]
    return F.pad(values, (0, W - w, 0, H - h))
