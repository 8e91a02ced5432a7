"""Fusion by addition: "Gated Fully Fusion for Semantic Segmentation", Li et al., AAAI 2020, Eq. 3."""

from torch import Tensor

from offstride.fusion.base import Fusion, grid_of, total


class Addition(Fusion):
    """The sum of all levels, on the grid of each: X̃_l = Σ_i X_i."""

    def fuse(self, levels: list[Tensor], gates: list[Tensor]) -> list[Tensor]:
        """See `Fusion`."""
        return [level + total((other for other in levels if other is not level), grid_of(level)) for level in levels]
