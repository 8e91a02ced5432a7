"""Images as arrays of pixels, read in parts that a model can take."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from offstride.data import IMAGENET_MEAN, IMAGENET_STD, EvalTransform, Sample
from offstride.inference.sliding import Read


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
    """What `label_sliding` reads an image through; only the part that is asked for is copied and normalised.

    Args:
        pixels: `(H, W, 3)` uint8, RGB; a memory-mapped array (`np.load(path, mmap_mode="r")`) is read from disk.
        mean: Mean of each colour channel, in 0 … 1 units.
        std: Standard deviation of each colour channel, in 0 … 1 units.
        device: Where the model is.

    Returns:
        From rows and columns to a `(3, h, w)` float32 tensor.

    Raises:
        ValueError: If the array has another shape.
    """
    if len(pixels.shape) != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels: expected (H, W, 3), got {tuple(pixels.shape)}")
    transform = EvalTransform(_three("mean", mean), _three("std", std))

    def read(rows: slice, columns: slice) -> Tensor:
        part = torch.from_numpy(np.array(pixels[rows, columns])).permute(2, 0, 1)
        return transform(Sample(part, part[0], "part"))[0].to(device)

    return read


def _three(name: str, values: Sequence[float]) -> tuple[float, float, float]:
    match [*values]:
        case [red, green, blue]:
            return red, green, blue
    raise ValueError(f"{name}: expected three numbers, got {values!r}")
