"""Low-level features in the decoders of DeepLabv3+ and DUpsampling.

Shapes: B batch, h×w a grid.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offstride.features import FeatureInfo
from offstride.layers import convolution, separable_convolution


class LowLevelFusion(nn.Module):
    """1×1 convolution of a low-level feature to few channels, concatenation, then two 3×3 convolutions; each with batch
    normalisation and ReLU ("Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", Chen et
    al., ECCV 2018, §3.1 and §4.1).

    Args:
        in_channels: Channels of the low-level feature.
        channels: Channels of the values that it is fused with and of the result.
        low_channels: Channels that the low-level feature is reduced to.
        separable: Whether the 3×3 convolutions are depthwise separable.
    """

    def __init__(self, in_channels: int, channels: int, low_channels: int, separable: bool) -> None:
        super().__init__()
        unit = separable_convolution if separable else convolution
        self.reduce = convolution(in_channels, low_channels)
        self.refine = nn.Sequential(unit(channels + low_channels, channels, 3), unit(channels, channels, 3))

    def forward(self, values: Tensor, low: Tensor) -> Tensor:
        """`(B, channels, h, w)` from values of that shape and the `(B, in_channels, h, w)` low-level feature."""
        return self.refine(torch.cat([values, self.reduce(low)], 1))


def feature_index(features: Sequence[FeatureInfo], name: str) -> int:
    """Position of the feature of a name.

    Raises:
        ValueError: If there is none.
    """
    names = [info.name for info in features]
    if name not in names:
        raise ValueError(f"low_level: expected one of the features {', '.join(names)}, got {name!r}")
    return names.index(name)
