"""Gated fully fusion: "Gated Fully Fusion for Semantic Segmentation" (GFF), Li et al., AAAI 2020, Eq. 5."""

from collections.abc import Sequence

from torch import Tensor

from offstride.fusion.base import grid_of, total
from offstride.fusion.gates import GateChannels, GatedFusion


class GFF(GatedFusion):
    """Every level sends what its gate lets out and takes in where its gate is low:
    X̃_l = (1 + G_l)·X_l + (1 − G_l)·Σ_{i≠l} G_i·X_i.

    All levels are fused at once, from the unfused ones. G_i·X_i is formed on the grid of level i, then resized.

    Args:
        channels: Channels of the levels, finest first.
        width: Channels D of each fused level.
        gate_channels: See `GatedFusion`.
        sequential: Update level after level from the finest on, as the released code does: a level then receives the
            fused form of those before it. Gates stay those of the unfused levels.
    """

    def __init__(
        self, channels: Sequence[int], width: int = 256, gate_channels: GateChannels = "one", sequential: bool = False
    ) -> None:
        super().__init__(channels, width, gate_channels)
        self.sequential = sequential

    def fuse(self, levels: list[Tensor], gates: list[Tensor]) -> list[Tensor]:
        """See `Fusion`."""
        sent = [gate * level for gate, level in zip(gates, levels, strict=True)]
        fused = []
        for index, (level, gate) in enumerate(zip(levels, gates, strict=True)):
            received = total(sent[:index] + sent[index + 1 :], grid_of(level))
            fused.append((1 + gate) * level + (1 - gate) * received)
            if self.sequential:
                sent[index] = gate * fused[index]
        return fused

    def extra_repr(self) -> str:
        """Show the order when printed."""
        return f"sequential={self.sequential}"
