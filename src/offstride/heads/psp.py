"""Pyramid pooling: "Pyramid Scene Parsing Network" (PSPNet), Zhao et al., CVPR 2017, §3.2.

Shapes: B batch, h×w coarse grid.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offstride.features import FeatureInfo
from offstride.field import resized
from offstride.heads.base import Head, check_pooled
from offstride.layers import convolution


class PSPHead(Head):
    """Means of the last feature over coarse grids of bins, each through a 1×1 convolution and bilinearly back to the
    grid; beside the feature itself they go through a 3×3 convolution.

    Pixel centres coincide in the upsampling, where the released code aligns corners. Grids that the bins do not divide,
    or that have fewer pixels than bins, get bins that overlap (adaptive average pooling).

    Args:
        features: What the backbone returns; the last one is used.
        bins: Rows, and columns, of every grid of bins. Their branches share the channels of the feature among them.
        channels: Channels of the result.
        dropout: Share of elements of the result that are dropped in training, 0.1 in the released code.

    Raises:
        ValueError: If there are no bins, or more than there are channels.
    """

    def __init__(
        self,
        features: Sequence[FeatureInfo],
        bins: Sequence[int] = (1, 2, 3, 6),
        channels: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        in_channels, self.out_stride = features[-1].channels, features[-1].stride
        if not bins or min(bins) < 1 or len(bins) > in_channels:
            raise ValueError(f"bins: expected 1 to {in_channels} positive whole numbers, got {list(bins)}")
        self.bins = tuple(bins)
        share = in_channels // len(bins)
        self.branches = nn.ModuleList(convolution(in_channels, share) for _ in bins)
        self.project = convolution(in_channels + len(bins) * share, channels, 3)
        self.dropout = nn.Dropout(dropout)
        self.out_channels = channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, channels, h, w)` from a list of features that ends in `(B, in_channels, h, w)`.

        Raises:
            ValueError: For a single image while the branch with one bin trains its batch normalisation: one value per
                channel has no variance.
        """
        x = features[-1]
        maps = [x]
        for bins, branch in zip(self.bins, self.branches, strict=True):
            pooled = F.adaptive_avg_pool2d(x, bins)
            check_pooled(pooled, branch.get_submodule("1"), "PSPNet")
            maps.append(resized(branch(pooled), x.shape[2:]))
        return self.dropout(self.project(torch.cat(maps, 1)))
