"""Atrous spatial pyramid pooling: "Rethinking Atrous Convolution for Semantic Image Segmentation" (DeepLabv3), Chen et
al., arXiv 1706.05587, §3.3.

Shapes: B batch, h×w coarse grid.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offstride.heads.block import convolution


class ASPPHead(nn.Module):
    """1×1 convolution, 3×3 convolutions at several rates and image pooling side by side on the last feature, each with
    batch normalisation; then a 1×1 projection.

    Args:
        in_channels: Channels of that feature.
        rates: Dilations of the 3×3 convolutions. The paper's are for output stride 16 and doubled at 8.
        channels: Channels of each branch and of the result.
        dropout: Share of elements of the result that are dropped in training; the paper names none.
    """

    def __init__(
        self, in_channels: int, rates: Sequence[int] = (6, 12, 18), channels: int = 256, dropout: float = 0.1
    ) -> None:
        super().__init__()
        atrous = [convolution(in_channels, channels, 3, rate) for rate in rates]
        self.branches = nn.ModuleList([convolution(in_channels, channels), *atrous])
        self.pooling = convolution(in_channels, channels)
        self.project = convolution((len(rates) + 2) * channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.out_channels = channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, channels, h, w)` from a list of features that ends in `(B, in_channels, h, w)`.

        Raises:
            ValueError: For a single image while the image-pooling branch trains its batch normalisation: one value per
                channel has no variance.
        """
        x = features[-1]
        norm = self.pooling[1]
        if norm.training and isinstance(norm, nn.BatchNorm2d) and len(x) == 1:
            raise ValueError(
                "images: the image pooling of ASPP cannot train its batch normalisation on one image; "
                "use two or more per process, synchronised or frozen normalisation, or eval()"
            )
        pooled = self.pooling(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.dropout(self.project(torch.cat([*(branch(x) for branch in self.branches), pooled], 1)))
