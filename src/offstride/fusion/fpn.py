"""Top-down fusion of neighbours: the feature pyramid network (Lin et al., CVPR 2017) in the form of "Gated Fully Fusion
for Semantic Segmentation", Li et al., AAAI 2020, Eq. 4.
"""

from torch import Tensor

from offstride.field import resized
from offstride.fusion.base import Fusion, grid_of


class FPN(Fusion):
    """Each level takes in the fused one above it: X̃_l = X̃_{l+1} + X_l, where X̃_L = X_L.

    The paper's FPN on PSPNet has five levels: the four stages and, as the top, the map of the pyramid pooling. Any list
    of levels can be given.
    """

    def fuse(self, levels: list[Tensor], gates: list[Tensor]) -> list[Tensor]:
        """See `Fusion`."""
        fused = [levels[-1]]
        for level in reversed(levels[:-1]):
            fused.insert(0, level + resized(fused[0], grid_of(level)))
        return fused
