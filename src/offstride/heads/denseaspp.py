"""Densely connected atrous spatial pyramid pooling: "DenseASPP for Semantic Segmentation in Street Scenes", Yang et
al., CVPR 2018.

Shapes: B batch, h×w coarse grid.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offstride.features import FeatureInfo
from offstride.heads.base import Head
from offstride.layers import convolution


class DenseASPPHead(Head):
    """3×3 convolutions of growing rate in a chain, each of which reads the feature and the results of all before it
    (Eq. 3); the classifier reads everything.

    Rates, order of layers and channels are those of the released code, which the paper does not spell out: every step
    is (batch normalisation →) ReLU → 1×1 → batch normalisation → ReLU → 3×3 → dropout of whole channels; the
    convolutions have biases and the first step does not normalise. Its batch normalisation has momentum 3e-4 in
    the steps, here torch's default.

    Args:
        features: What the backbone returns; the last one is used.
        rates: Dilations of the chain, for output stride 8.
        inner: Channels of the 1×1 convolutions: 128 with DenseNet-121, 512 with DenseNet-161 in the released code.
        channels: Channels that each step adds: 64 and 128 likewise.
        transition: Halve the channels of the feature first (1×1 convolution, batch normalisation, ReLU), as the
            released DenseNets do after their last block.
        dropout: Share of channels that are dropped in training, after every step and from the result.
    """

    def __init__(
        self,
        features: Sequence[FeatureInfo],
        rates: Sequence[int] = (3, 6, 12, 18, 24),
        inner: int = 128,
        channels: int = 64,
        transition: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        in_channels, self.out_stride = features[-1].channels, features[-1].stride
        width = in_channels // 2 if transition else in_channels
        self.transition = convolution(in_channels, width) if transition else nn.Identity()
        self.steps = nn.ModuleList(
            _step(width + i * channels, inner, channels, rate, dropout, norm=i > 0) for i, rate in enumerate(rates)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.out_channels = width + len(rates) * channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, out_channels, h, w)` from a list of features that ends in `(B, in_channels, h, w)`."""
        x = self.transition(features[-1])
        for step in self.steps:
            x = torch.cat([x, step(x)], 1)
        return self.dropout(x)


def _step(in_channels: int, inner: int, channels: int, rate: int, dropout: float, *, norm: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(in_channels) if norm else nn.Identity(),
        nn.ReLU(inplace=norm),  # without the normalisation it would change what the step's result is put beside
        nn.Conv2d(in_channels, inner, 1),
        nn.BatchNorm2d(inner),
        nn.ReLU(inplace=True),
        nn.Conv2d(inner, channels, 3, padding=rate, dilation=rate),
        nn.Dropout2d(dropout),
    )
