"""Gate maps: where a level contributes ("Gated Fully Fusion for Semantic Segmentation", Li et al., AAAI 2020,
Eq. 5).
"""

from collections.abc import Collection, Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from offstride.fusion.base import Fusion

GateChannels = Literal["one", "all"]


class GatedFusion(Fusion):
    """A fusion with one gate map per level, G_l = sigmoid(w_l ∗ X_l).

    The 1×1 convolution reads the unreduced level, w_l ∈ R^{1×1×C_l}, and has a bias.

    Args:
        channels: Channels C_l of the levels, finest first.
        width: Channels D of each fused level.
        gate_channels: `"one"` gate per pixel, as in the paper, or `"all"`: one per pixel and channel, as in the
            released code; the gates that `Fused` shows are then means over the channels.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, channels: Sequence[int], width: int = 256, gate_channels: GateChannels = "one") -> None:
        super().__init__(channels, width)
        if gate_channels not in get_args(GateChannels):
            raise ValueError(f"gate_channels: expected one of {get_args(GateChannels)}, got {gate_channels!r}")
        out = width if gate_channels == "all" else 1
        self.gates = nn.ModuleList(nn.Conv2d(count, out, 1) for count in channels)

    def find_gates(self, levels: Sequence[Tensor], closed: Collection[int]) -> list[Tensor]:
        """See `Fusion`."""
        if strangers := sorted(set(closed) - set(range(len(self.gates)))):
            raise ValueError(f"closed: expected levels 0 … {len(self.gates) - 1}, got {strangers}")
        gates = [gate(level).sigmoid() for gate, level in zip(self.gates, levels, strict=True)]
        return [gate * 0 if index in closed else gate for index, gate in enumerate(gates)]
