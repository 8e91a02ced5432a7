"""Fully convolutional head: one 3×3 convolution on one feature (main head of FCN-style models, auxiliary head of PSPNet
and EncNet).

Shapes: B batch, h×w coarse grid.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from offstride.features import FeatureInfo
from offstride.heads.base import Head
from offstride.layers import convolution


class FCNHead(Head):
    """3×3 convolution → batch normalisation → ReLU → dropout on the last feature.

    Args:
        features: What the backbone returns; the last one is used.
        channels: Channels of the result.
        dropout: Share of elements that are dropped in training.
        dilation: Dilation of the convolution.
    """

    def __init__(
        self, features: Sequence[FeatureInfo], channels: int = 256, dropout: float = 0.1, dilation: int = 1
    ) -> None:
        super().__init__()
        in_channels, self.out_stride = features[-1].channels, features[-1].stride
        self.convolution = convolution(in_channels, channels, 3, dilation)
        self.dropout = nn.Dropout(dropout)
        self.out_channels = channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, channels, h, w)` from a list of features that ends in `(B, in_channels, h, w)`."""
        return self.dropout(self.convolution(features[-1]))
