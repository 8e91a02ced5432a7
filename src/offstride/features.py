"""What is known of a feature map before it is computed, and which maps an upsampler may look at.

Shapes: B batch, C classes, D channels of a feature, h×w coarse grid, H×W image.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_FOLD = 8
"""Largest stride at which the image itself is a guide: s² pixels are then the channels of one."""

LEAST_DEVIATION = 1e-5
"""Colours that vary less over an image are taken for constant."""


class FeatureInfo(NamedTuple):
    """A feature map: its channels, its stride in image pixels and the module that it comes from."""

    channels: int
    stride: int
    name: str


class Guides(NamedTuple):
    """Finer maps that say where things are.

    Attributes:
        image: `(B, 3, H, W)` the normalised image, or None.
        levels: The maps of `guide_levels`, the coarsest last; none where there is no backbone.
    """

    image: Tensor | None = None
    levels: Sequence[Tensor] = ()


NO_GUIDES = Guides()


class Coarse(NamedTuple):
    """All that an upsampler reads of a model, besides the image: the model's outputs before the upsampler.

    Attributes:
        scores: `(B, C, h, w)` class scores; the features again before an upsampler that classifies on its own.
        features: `(B, D, h, w)` the feature map that the classifier read.
        levels: As in `Guides`.
    """

    scores: Tensor
    features: Tensor
    levels: Sequence[Tensor] = ()

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with each map changed."""
        return type(self)(change(self.scores), change(self.features), [change(level) for level in self.levels])


def guide_levels(channels: int, features: Sequence[FeatureInfo]) -> list[FeatureInfo]:
    """Levels of a `GuideLevels`: the image, folded to the strides that the features lack, then the features.

    Args:
        channels: Channels of the image.
        features: Those of a backbone, or of a classifier alone, with the coarse grid last.
    """
    folds = [FeatureInfo(channels * s * s, s, f"image at stride {s}") for s in _folds(features)]
    return [*folds, *features]


class GuideLevels(Sequence[Tensor]):
    """The maps of `guide_levels`. A folded image has the s×s pixels that lie in one of its own as channels, so that a
    1×1 convolution there is a patch embedding; sizes that do not divide repeat the edge. It is folded when it is read.

    Args:
        image: `(B, 3, H, W)`.
        maps: `(B, D, h, w)` features.
        features: Their description.
    """

    def __init__(self, image: Tensor, maps: Sequence[Tensor], features: Sequence[FeatureInfo]) -> None:
        self.image, self.maps, self.folds = image, maps, _folds(features)

    def __len__(self) -> int:
        return len(self.folds) + len(self.maps)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place >= len(self.folds):
            return self.maps[place - len(self.folds)]
        return folded(self.image, self.folds[place]).to(self.maps[-1].dtype)


def folded(image: Tensor, stride: int) -> Tensor:
    """`(B, C·s², ⌈H/s⌉, ⌈W/s⌉)` from a `(B, C, H, W)` image; the edge is repeated. Sizes may be symbols of
    `torch.export`.
    """
    for axis in (2, 3):
        length = image.shape[axis]
        if not isinstance(length, int) or length % stride:
            whole = stride * ((length + stride - 1) // stride)
            image = image.index_select(axis, torch.arange(whole, device=image.device).clamp(max=length - 1))
    return F.pixel_unshuffle(image, stride)


def level_of_stride(levels: Sequence[FeatureInfo], stride: int) -> int:
    """Position of the last map of a stride, which is the deepest one of this resolution. It is counted from the end, -1
    being the last, so that it holds with and without folded images.

    A stride that does not divide that of the coarse grid stands for the next smaller one: 4 for 2 at a grid of 14.

    Raises:
        ValueError: If there is none.
    """
    strides = sorted({info.stride for info in levels})
    if strides and 0 < stride < strides[-1] and strides[-1] % stride:
        stride = max((known for known in strides if known <= stride), default=stride)
    if stride not in strides:
        found = ", ".join(map(str, strides)) or "none"
        raise ValueError(f"guide_stride: expected the stride of a feature of the backbone ({found}), got {stride}")
    return max(i for i, info in enumerate(levels) if info.stride == stride) - len(levels)


def standardised(image: Tensor) -> Tensor:
    """A `(B, C, H, W)` image of which each channel has mean 0 and deviation 1, float32 or better: the same for all
    normalisations of images. A constant channel is 0.
    """
    image = image.to(torch.promote_types(image.dtype, torch.float32))
    centred = image - image.mean((2, 3), keepdim=True)
    deviation = centred.square().mean((2, 3), keepdim=True).sqrt()
    return centred / deviation.clamp(min=LEAST_DEVIATION)


def _folds(features: Iterable[FeatureInfo]) -> list[int]:
    """Strides of folded images, ascending: divisors of the coarse stride that no feature has."""
    strides = [info.stride for info in features]
    return [s for s in range(1, LARGEST_FOLD + 1) if strides[-1] % s == 0 and s not in strides]
