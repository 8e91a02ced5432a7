"""Atrous spatial pyramid pooling: "Rethinking Atrous Convolution for Semantic Image Segmentation" (DeepLabv3), Chen et
al., arXiv 1706.05587, §3.3.

Shapes: B batch, h×w coarse grid.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offstride.features import FeatureInfo
from offstride.heads.base import Head, check_pooled
from offstride.layers import convolution, separable_convolution


class ASPPHead(Head):
    """1×1 convolution, 3×3 convolutions at several rates and image pooling side by side on the last feature, each with
    batch normalisation; then a 1×1 projection.

    Args:
        features: What the backbone returns; the last one is used.
        rates: Dilations of the 3×3 convolutions, any number of them. The paper's are for output stride 16 and doubled
            at 8.
        channels: Channels of each branch and of the result.
        dropout: Share of elements of the result that are dropped in training; the paper names none.
        image_pooling: Whether there is a branch of the image's mean; the variant with rates (6, 12, 18, 24) of the
            paper's Table 5 has none.
        separable: Whether the 3×3 convolutions are depthwise separable, as in DeepLabv3+.
        block: Whether a 3×3 convolution follows the projection: not in the paper, but in torchvision's DeepLabv3 and in
            the ASPP models that LaU starts from.
    """

    atrous = True

    def __init__(
        self,
        features: Sequence[FeatureInfo],
        rates: Sequence[int] = (6, 12, 18),
        channels: int = 256,
        dropout: float = 0.1,
        image_pooling: bool = True,
        separable: bool = False,
        block: bool = False,
    ) -> None:
        super().__init__()
        in_channels, self.out_stride = features[-1].channels, features[-1].stride
        unit = separable_convolution if separable else convolution
        atrous = [unit(in_channels, channels, 3, rate) for rate in rates]
        self.branches = nn.ModuleList([convolution(in_channels, channels), *atrous])
        self.pooling = convolution(in_channels, channels) if image_pooling else None
        self.project = convolution((len(self.branches) + image_pooling) * channels, channels)
        self.block = convolution(channels, channels, 3) if block else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.out_channels = channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, channels, h, w)` from a list of features that ends in `(B, in_channels, h, w)`.

        Raises:
            ValueError: For a single image while the image-pooling branch trains its batch normalisation: one value per
                channel has no variance.
        """
        x = features[-1]
        maps = [branch(x) for branch in self.branches]
        if self.pooling is not None:
            pooled = x.mean((2, 3), keepdim=True)
            check_pooled(pooled, self.pooling[1], "ASPP")
            maps.append(self.pooling(pooled).expand(-1, -1, *x.shape[2:]))
        return self.dropout(self.block(self.project(torch.cat(maps, 1))))
