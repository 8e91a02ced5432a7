"""Levels of the backbone, fused, beside the map of a context head: PSPNet + GFF + DFP and their relatives ("Gated Fully
Fusion for Semantic Segmentation", Li et al., AAAI 2020, Fig. 3).

Shapes: B batch, h×w grid of the context map.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from offstride.features import FeatureInfo
from offstride.field import resized
from offstride.fusion import FUSIONS, DenseFeaturePyramid
from offstride.fusion.base import grid_of
from offstride.heads import Head, HeadOutput

Grid = Literal["context", "finest"]


class FusionHead(Head):
    """Fuses levels of the backbone and joins them to the map of another head for the classifier.

    Args:
        features: What the backbone returns.
        context: Head whose map is the top of the pyramid, such as the pyramid pooling of PSPNet.
        kind: Name of the fusion: a key of `offstride.fusion.FUSIONS`.
        levels: Names of the fused features; the last four by default, the stages of a ResNet.
        pyramid: Put the dense feature pyramid (DFP, Eq. 6) between fusion and classifier, which then reads the maps of
            the pyramid instead of the context and the levels.
        grid: Grid of the joined map: that of the `"context"` map, with which our parameters and operations are counted,
            or that of the `"finest"` level.
        width: Channels of each fused level.
        options: Further arguments of the fusion.

    Raises:
        ValueError: If there is no such feature.
    """

    def __init__(
        self,
        features: Sequence[FeatureInfo],
        context: Head,
        kind: str,
        *,
        levels: Sequence[str] | None = None,
        pyramid: bool = False,
        grid: Grid = "context",
        width: int = 256,
        **options: Any,
    ) -> None:
        super().__init__()
        if grid not in ("context", "finest"):
            raise ValueError(f"grid: expected 'context' or 'finest', got {grid!r}")
        self.levels = _find(features, levels)
        chosen = [features[index] for index in self.levels]
        self.grid = grid
        self.context = context
        self.fusion = FUSIONS[kind]([info.channels for info in chosen], width, **options)
        self.pyramid = DenseFeaturePyramid(context.out_channels, width, len(chosen)) if pyramid else None
        together = context.out_channels + width * len(chosen)
        self.out_channels = self.pyramid.out_channels if self.pyramid else together
        self.out_stride = context.out_stride if grid == "context" else min(info.stride for info in chosen)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, D, h, w)` from the features of the backbone."""
        return self.decode(features).map

    def decode(self, features: Sequence[Tensor], closed: Collection[int] = ()) -> HeadOutput:
        """The same with the scene scores of the context head and the gates; gates of the levels in `closed`, counted
        from the finest, are set to zero (Fig. 9b).
        """
        context = self.context.decode(features)
        maps = [features[index] for index in self.levels]
        fused = self.fusion(maps, closed)
        joined = self.pyramid(context.map, fused.levels) if self.pyramid else [context.map, *fused.levels]
        size = grid_of(context.map if self.grid == "context" else fused.levels[0])
        return HeadOutput(torch.cat([resized(values, size) for values in joined], 1), context.scene, fused.gates)


def _find(features: Sequence[FeatureInfo], names: Sequence[str] | None) -> list[int]:
    known = [info.name for info in features]
    if names is None:
        return list(range(max(0, len(known) - 4), len(known)))
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"levels: expected some of {', '.join(known)}, got {', '.join(unknown)}")
    return sorted(known.index(name) for name in names)
