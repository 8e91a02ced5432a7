"""SAPA: "SAPA: Similarity-Aware Point Affiliation for Feature Upsampling", Lu et al., NeurIPS 2022.

Shapes: B batch, C classes, D feature channels, h×w coarse grid, K the window, H×W grid of the low-level feature.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offstride.features import NO_GUIDES, FeatureInfo, Guides, level_of_stride
from offstride.field import LogitField
from offstride.ops.grid import Origin, coordinate_dtype
from offstride.upsamplers.base import Compared, Size, Upsampler, check_odd, check_positive, to_image
from offstride.upsamplers.reassembly import ReassembledField, window_rows


class SAPA(Upsampler):
    """A low-level feature chooses among the coarse pixels around it those that it resembles (§4, SAPA-B): both features
    are normalised over their channels and embedded linearly; the softmax of the K² inner products is the kernel.

    The paper goes up by 2 with the encoder's feature of that stride; here one step leads to the grid of the low-level
    feature, whatever the factor. The rest of the factor to the image is bilinear.

    Args:
        in_channels: Channels D of the features.
        levels: What the backbone returns.
        guide_stride: Stride of the low-level feature, or of the folded image where there is none, see `guide_levels`.
        window: Width K of the window.
        embedding: Channels of the embedding.
        origin: Pixel convention of the bilinear rest.

    Raises:
        ValueError: If an argument is out of range, or the backbone has no feature of that stride.
    """

    compared_as = (Compared("SAPA, then bilinear", "Lu et al. 2022"),)

    def __init__(
        self,
        in_channels: int,
        levels: Sequence[FeatureInfo],
        guide_stride: int = 4,
        window: int = 5,
        embedding: int = 64,
        origin: Origin = "center",
    ) -> None:
        super().__init__(origin)
        check_odd(window=window)
        check_positive(embedding=embedding)
        self.window = window
        self.level = level_of_stride(levels, guide_stride)
        guide_channels = levels[self.level].channels
        self.guide_norm, self.norm = nn.LayerNorm(guide_channels), nn.LayerNorm(in_channels)
        self.query, self.key = nn.Linear(guide_channels, embedding), nn.Linear(in_channels, embedding)
        for layer in (self.query, self.key):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def kernels(self, features: Tensor, guide: Tensor) -> Tensor:
        """`(B, K², H, W)` weights that sum to 1, float32 or better; beyond the map similarities are 0."""
        queries = _embedded(guide, self.guide_norm, self.query)
        keys = _embedded(features, self.norm, self.key)
        size = (guide.shape[2], guide.shape[3])
        queries = queries.to(coordinate_dtype(queries.dtype))
        rows = window_rows(keys, size, self.window, (0, size[0]))
        return torch.stack([(queries * neighbour).sum(1) for neighbour in rows], 1).softmax(1)

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`; raises a `ValueError` without the features of a backbone."""
        if not guides.levels:
            raise ValueError("guides: expected the features of the backbone for SAPA, got none")
        kernels = self.kernels(features, guides.levels[self.level])
        return to_image(ReassembledField(scores, kernels), size, self.origin)


def _embedded(values: Tensor, norm: nn.LayerNorm, embed: nn.Linear) -> Tensor:
    """`(B, embedding, h, w)`: normalised over the channels of a place, then embedded."""
    return embed(norm(values.movedim(1, -1))).movedim(-1, 1)
