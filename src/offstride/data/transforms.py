"""From a sample to the input of a network: random scale, crop, flip, blur and colour for training, then normalisation.

Shapes: a sample's image is `(3, H, W)` uint8 and its label `(H, W)` uint8; the input is float32 `(3, h, w)`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

import torch
from torch import Tensor

from offstride.data.draw import below
from offstride.data.sample import Sample
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.pixels import IMAGENET_MEAN, IMAGENET_STD, check_statistics, normalize

BLUR = 1.0
"""Largest standard deviation of the Gaussian blur, in pixels."""

BaseSide = Literal["short", "long"]


@dataclass(frozen=True)
class TrainTransform:
    """Random scale, crop, horizontal flip, blur and colour jitter, then normalisation.

    Only the visible part is resized, and only once: a window of `crop / scale` pixels is cut from the image and resized
    to the crop. With a `base` length the factor combines both steps, base and random scale. A scaled image smaller than
    the crop is placed at random in it and padded with the mean pixel (0 after normalisation) and the label
    `IGNORE_INDEX`. The image is resized bilinearly with antialiasing, the label takes the nearest pixel; both agree on
    pixel centres.

    Args:
        crop: (h, w) of the result, in pixels.
        scale: Range of the factor by which the image is scaled, uniform.
        flip: Probability of a horizontal flip.
        jitter: Strength s of the colour jitter: brightness, contrast and saturation are multiplied, in random order, by
            factors uniform in 1 - s … 1 + s.
        mean: Mean of each colour channel, in 0 … 1 units.
        std: Standard deviation of each colour channel, in 0 … 1 units.
        base: Length in pixels of the `base_side` of the image at scale 1; None for its own. DeepLab keeps the size of
            images, LaU resizes them to 520.
        base_side: `"short"` or `"long"`.
        hue: Largest shift h of the hue, as a share of the colour circle: uniform in -h … h.
        blur: Probability of a Gaussian blur, of a standard deviation uniform in 0 … 1 pixels.

    Raises:
        ValueError: When an argument is out of its range.
    """

    crop: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    jitter: float = 0.0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    base: int | None = None
    base_side: BaseSide = "short"
    hue: float = 0.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        if len(self.crop) != 2 or not all(isinstance(length, int) and length > 0 for length in self.crop):
            raise ValueError(f"crop: expected (height, width) in pixels, got {self.crop!r}")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale: expected (low, high) with 0 < low <= high, got {self.scale!r}")
        if self.base is not None and not (isinstance(self.base, int) and self.base > 0):
            raise ValueError(f"base: expected a length in pixels or None, got {self.base!r}")
        if self.base_side not in get_args(BaseSide):
            raise ValueError(f"base_side: expected one of {get_args(BaseSide)}, got {self.base_side!r}")
        for name, most in (("flip", 1), ("jitter", 1), ("hue", 0.5), ("blur", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name}: expected a number in 0 … {most}, got {getattr(self, name)!r}")
        check_statistics(self.mean, self.std)

    def __call__(self, sample: Sample, seed: int) -> tuple[Tensor, Tensor]:
        """Transform a sample; the result depends on `sample` and `seed` alone, global random states stay untouched.

        Returns:
            Image `(3, h, w)` float32, normalised, and label `(h, w)` uint8.
        """
        random = Random(seed)
        scale = random.uniform(*self.scale) * base_scale(sample.label.shape, self.base, self.base_side)
        rows, columns = (
            _Span.draw(size, crop, scale, random) for size, crop in zip(sample.label.shape, self.crop, strict=True)
        )
        window, size = (rows.source, columns.source), [rows.visible, columns.visible]
        part, part_label = resize_labelled(sample.image[:, *window], sample.label[window], size)
        if random.random() < self.flip:
            part, part_label = part.flip(-1), part_label.flip(-1)
        if self.blur and random.random() < self.blur:
            part = _blur(part, random.uniform(0, BLUR))
        part = _jitter(part, self.jitter, self.hue, random)

        image = torch.zeros(3, *self.crop)
        label = torch.full(self.crop, IGNORE_INDEX, dtype=torch.uint8)
        place = (rows.target, columns.target)
        image[:, *place] = normalize(part, self.mean, self.std)
        label[place] = part_label
        return image, label


@dataclass(frozen=True)
class EvalTransform:
    """Normalisation alone, whatever the size.

    Args:
        mean: Mean of each colour channel, in 0 … 1 units.
        std: Standard deviation of each colour channel, in 0 … 1 units.

    Raises:
        ValueError: When these are not three numbers in 0 … 1 each, or a deviation is 0.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        check_statistics(self.mean, self.std)

    def __call__(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """Image `(3, H, W)` float32, normalised, and the label as it is."""
        return normalize(sample.image, self.mean, self.std), sample.label


def base_scale(size: Sequence[int], base: int | None, side: BaseSide) -> float:
    """Factor that resizes an image of some (H, W) to its base size; 1 without one."""
    if base is None:
        return 1.0
    return base / (min(size) if side == "short" else max(size))


def resize_labelled(image: Tensor, label: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """An image and its label at another (H, W): bilinear with antialiasing, and the nearest pixel."""
    from torchvision.transforms import InterpolationMode  # torchvision takes seconds to import
    from torchvision.transforms.v2 import functional as F

    # The uint8 kernel is fast on channels-last memory, and wrong on channels-first images that become one column.
    image = image[None].contiguous(memory_format=torch.channels_last)
    image = F.resize(image, [*size], InterpolationMode.BILINEAR, antialias=True)[0]
    return image, F.resize(label[None], [*size], InterpolationMode.NEAREST_EXACT)[0]


@dataclass(frozen=True)
class _Span:
    """One axis of a crop: the `source` range of the image becomes the `visible` pixels of the `target` range."""

    source: slice
    target: slice
    visible: int

    @classmethod
    def draw(cls, size: int, crop: int, scale: float, random: Random) -> "_Span":
        window = max(1, round(crop / scale))
        visible = crop
        if window > size:
            window, visible = size, min(crop, max(1, round(size * scale)))
        source, target = below(size - window + 1, random), below(crop - visible + 1, random)
        return cls(slice(source, source + window), slice(target, target + visible), visible)


def _jitter(image: Tensor, strength: float, hue: float, random: Random) -> Tensor:
    """Change brightness, contrast and saturation (if `strength`) and hue (if `hue`) in random order."""
    from torchvision.transforms.v2 import functional as F

    adjustments: list[tuple[Callable[[Tensor, float], Tensor], float, float]] = []
    if strength:
        around = (1 - strength, 1 + strength)
        adjustments += [(F.adjust_brightness, *around), (F.adjust_contrast, *around), (F.adjust_saturation, *around)]
    if hue:
        adjustments.append((F.adjust_hue, -hue, hue))
    while adjustments:
        adjust, low, high = adjustments.pop(below(len(adjustments), random))
        image = adjust(image, random.uniform(low, high))
    return image


def _blur(image: Tensor, deviation: float) -> Tensor:
    """Gaussian blur over three deviations on every side, as far as the mirrored image reaches."""
    from torchvision.transforms.v2 import functional as F

    reach = [min(math.ceil(3 * deviation), length - 1) for length in image.shape[:0:-1]]  # (x, y), as torchvision asks
    return F.gaussian_blur(image, [2 * length + 1 for length in reach], [max(deviation, 1e-3)] * 2)
