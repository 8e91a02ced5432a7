"""Fusion by concatenation: "Gated Fully Fusion for Semantic Segmentation", Li et al., AAAI 2020, Eq. 2."""

import torch
from torch import Tensor

from offstride.field import resized
from offstride.fusion.base import Fusion, grid_of


class Concat(Fusion):
    """All levels side by side, on the grid of each: X̃_l = concat(X_1, …, X_L).

    The first 3×3 convolution of a level brings the L·D channels back to D.
    """

    @staticmethod
    def fused_channels(count: int, width: int) -> int:
        """See `Fusion`."""
        return count * width

    def fuse(self, levels: list[Tensor], gates: list[Tensor]) -> list[Tensor]:
        """See `Fusion`."""
        return [torch.cat([resized(other, grid_of(level)) for other in levels], 1) for level in levels]
