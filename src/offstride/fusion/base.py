"""Base class of fusions of feature levels: "Gated Fully Fusion for Semantic Segmentation" (GFF), Li et al., AAAI 2020.

Shapes: B batch, L levels, finest first; level l has C_l channels on an h_l×w_l grid and D channels once reduced.

Convention: maps change grids bilinearly, upwards and downwards alike, as the paper says; pixel centres are aligned.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from offstride.field import resized
from offstride.layers import convolution
from offstride.ops.grid import same_grid


@dataclass(frozen=True)
class Fused:
    """The result of a fusion of L levels.

    Attributes:
        levels: `(B, D, h_l, w_l)` for each level, on its own grid, finest first.
        gates: `(B, 1, h_l, w_l)` in 0 … 1 for each level; empty if the fusion has no gates.
    """

    levels: list[Tensor]
    gates: list[Tensor] = field(default_factory=list)


class Fusion(nn.Module, ABC):
    """Levels → 1×1 convolution to one width → fusion → two 3×3 convolutions per level.

    All convolutions are followed by batch normalisation and ReLU (§Network Architecture). Subclasses define `fuse`.

    Args:
        channels: Channels C_l of the levels, finest first.
        width: Channels D of each fused level.

    Raises:
        ValueError: If there is no level or a number is not positive.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"channels: expected one positive number per level, got {list(channels)}")
        if width < 1:
            raise ValueError(f"width: expected a positive number, got {width}")
        entering = self.fused_channels(len(channels), width)
        self.reduce = nn.ModuleList(convolution(count, width) for count in channels)
        self.refine = nn.ModuleList(
            nn.Sequential(convolution(entering, width, 3), convolution(width, width, 3)) for _ in channels
        )

    @staticmethod
    def fused_channels(count: int, width: int) -> int:
        """Channels that `fuse` makes of `count` levels of this width."""
        return width

    @abstractmethod
    def fuse(self, levels: list[Tensor], gates: list[Tensor]) -> list[Tensor]:
        """Fuse reduced levels `(B, D, h_l, w_l)`, each on its own grid."""

    def find_gates(self, levels: Sequence[Tensor], closed: Collection[int]) -> list[Tensor]:
        """Gate maps, of one or of D channels, from the unreduced levels; none by default.

        Raises:
            ValueError: If there are no such gates.
        """
        if closed:
            raise ValueError(f"closed: expected no levels, {type(self).__name__} has no gates; got {sorted(closed)}")
        return []

    def forward(self, levels: Sequence[Tensor], closed: Collection[int] = ()) -> Fused:
        """Fuse.

        Args:
            levels: `(B, C_l, h_l, w_l)`, finest first.
            closed: Levels, counted from the finest, whose gate is set to zero: they send nothing then (Fig. 9b).

        Raises:
            ValueError: If there are more or fewer levels than expected, or there is no gate to close.
        """
        if len(levels) != len(self.reduce):
            raise ValueError(f"levels: expected {len(self.reduce)} feature maps, got {len(levels)}")
        gates = self.find_gates(levels, closed)
        reduced = [reduce(level) for reduce, level in zip(self.reduce, levels, strict=True)]
        fused = self.fuse(reduced, gates)
        refined = [refine(level) for refine, level in zip(self.refine, fused, strict=True)]
        return Fused(refined, [gate.mean(1, keepdim=True) if gate.shape[1] > 1 else gate for gate in gates])


def grid_of(values: Tensor) -> tuple[int, int]:
    """`(h, w)` of a `(B, D, h, w)` map."""
    return values.shape[2], values.shape[3]


def total(maps: Iterable[Tensor], size: tuple[int, int]) -> Tensor | int:
    """Sum of maps on one grid, 0 without any. Those that share a grid are added before they are resized, which is
    linear: the three equal grids of a network of output stride 8 cost one resizing.
    """
    sums: list[Tensor] = []
    for level in maps:
        place = next((i for i, present in enumerate(sums) if same_grid(grid_of(present), grid_of(level))), None)
        if place is None:
            sums.append(level)
        else:
            sums[place] = sums[place] + level
    return sum(resized(values, size) for values in sums)
