"""Images as arrays of pixels, read in parts that a model can take."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from offstride.inference.sliding import Read
from offstride.ops.pixels import IMAGENET_MEAN, IMAGENET_STD, check_statistics, normalize


class Pixels(Protocol):
    """An `(H, W, 3)` uint8 array, or what can be sliced like one, such as `offstride.data.ImageWindows`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> np.ndarray: ...


def pixel_reader(
    pixels: Pixels,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    device: torch.device | str = "cpu",
) -> Read:
    """A reader for `label_sliding`, which copies and normalises only the part of the image that it needs.

    Args:
        pixels: `(H, W, 3)` uint8, RGB; a memory-mapped array (`np.load(path, mmap_mode="r")`) is read from disk.
        mean: Mean of each colour channel, in 0 … 1 units.
        std: Standard deviation of each colour channel, in 0 … 1 units.
        device: Where the model is.

    Returns:
        From rows and columns to a `(3, h, w)` float32 tensor.

    Raises:
        ValueError: If the array has another shape, or mean and deviation are not three numbers each.
    """
    if len(pixels.shape) != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels: expected (H, W, 3), got {tuple(pixels.shape)}")
    check_statistics(mean, std)

    def read(rows: slice, columns: slice) -> Tensor:
        part = torch.from_numpy(np.array(pixels[rows, columns])).permute(2, 0, 1)
        return normalize(part, mean, std).to(device)

    return read
