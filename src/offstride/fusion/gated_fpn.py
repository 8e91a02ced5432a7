"""Gates in the top-down path of an FPN: "Gated Fully Fusion for Semantic Segmentation", Li et al., AAAI 2020, §Ablation
Study on Feature Fusion Methods.
"""

from torch import Tensor

from offstride.field import resized
from offstride.fusion.base import grid_of
from offstride.fusion.gates import GatedFusion


class GatedFPN(GatedFusion):
    """X̃_l = (1 + G_l)·X_l + (1 − G_l)·G_{l+1}·X̃_{l+1}, where X̃_L = (1 + G_L)·X_L.

    The paper only says that its gates are added to the path of Eq. 4. Here the whole of Eq. 5 is kept; the sender is
    the fused level above, the only one in Eq. 4, with the gate of its own unfused level.
    """

    def fuse(self, levels: list[Tensor], gates: list[Tensor]) -> list[Tensor]:
        """See `Fusion`."""
        fused = [(1 + gates[-1]) * levels[-1]]
        for index in reversed(range(len(levels) - 1)):
            level, gate = levels[index], gates[index]
            sent = resized(gates[index + 1] * fused[0], grid_of(level))
            fused.insert(0, (1 + gate) * level + (1 - gate) * sent)
        return fused
