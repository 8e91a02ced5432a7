"""Finer maps for upsamplers that read them, in any model: the image itself, folded to a coarser grid."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from offstride.features import FeatureInfo

STRIDES = (1, 2, 4, 8)


def guide_levels(channels: int, features: FeatureInfo) -> list[FeatureInfo]:
    """Levels of a `FoldedImage`, finest first: the image of so many channels, then the features of the classifier."""
    return [
        *(FeatureInfo(channels * s * s, s, f"image at stride {s}") for s in STRIDES if features.stride % s == 0),
        features,
    ]


class FoldedImage(Sequence[Tensor]):
    """The image at the strides of `guide_levels`: s×s pixels become the channels of one, so that a 1×1 convolution
    there is a patch embedding. Sizes that do not divide repeat the edge. A level is folded when it is read.

    Args:
        image: `(B, 3, H, W)`.
        features: `(B, D, h, w)` of the classifier, the last level.
        stride: Their stride.
    """

    def __init__(self, image: Tensor, features: Tensor, stride: int) -> None:
        self.image, self.features = image, features
        self.strides = [s for s in STRIDES if stride % s == 0]

    def __len__(self) -> int:
        return len(self.strides) + 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place == len(self.strides):
            return self.features
        stride, (H, W) = self.strides[place], self.image.shape[2:]
        padded = F.pad(self.image, (0, -W % stride, 0, -H % stride), mode="replicate")
        return F.pixel_unshuffle(padded, stride).to(self.features.dtype)
