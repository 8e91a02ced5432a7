"""EncNet: "Context Encoding for Semantic Segmentation", Zhang et al., CVPR 2018.

Shapes: B batch, C classes, D channels, h×w coarse grid.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offstride.features import FeatureInfo
from offstride.field import resized
from offstride.heads.base import Head, HeadOutput
from offstride.heads.encoding import Encoding
from offstride.layers import convolution


class EncNetHead(Head):
    """3×3 convolution of the last feature; the encoding of its result scales its channels (§3.1) and predicts the
    classes of the scene (§3.2).

    What the paper leaves open is as in its released code: a 1×1 convolution before the encoding layer, and
    channels that are scaled by 1 + γ and rectified.

    Args:
        features: What the backbone returns; the last one is used, or the last three.
        classes: Number of classes C.
        channels: Channels D of the result.
        codewords: Codewords of the encoding layer.
        lateral: Whether the two features before the last join: each by a 1×1 convolution, all by a 3×3 convolution.
            They are resampled bilinearly where their grid is another.
        scene: Whether there are scores for the presence of classes, for `offstride.losses.scene_loss`.
        dropout: Share of elements of the result that are dropped in training.

    Raises:
        ValueError: If `lateral` is set and there are fewer than three features.
    """

    def __init__(
        self,
        features: Sequence[FeatureInfo],
        classes: int,
        channels: int = 512,
        codewords: int = 32,
        lateral: bool = False,
        scene: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if lateral and len(features) < 3:
            raise ValueError(f"lateral: expected three features or more for it, got {len(features)}")
        self.reduce = convolution(features[-1].channels, channels, 3)
        beside = features[-3:-1] if lateral else ()
        self.lateral = nn.ModuleList(convolution(info.channels, channels) for info in beside)
        self.join = convolution(3 * channels, channels, 3) if lateral else None
        self.embed = convolution(channels, channels)
        self.encoding = Encoding(channels, codewords)
        self.gate = nn.Linear(channels, channels)
        self.scene = nn.Linear(channels, classes) if scene else None
        self.dropout = nn.Dropout(dropout)
        self.out_channels, self.out_stride = channels, features[-1].stride

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, channels, h, w)` from all features of the backbone."""
        x = self._reduced(features)
        return self._gated(x, self.encoding(self.embed(x)))

    def explain(self, features: Sequence[Tensor]) -> HeadOutput:
        """The same with `(B, C)` scores for the presence of classes."""
        x = self._reduced(features)
        encoded = self.encoding(self.embed(x))
        return HeadOutput(self._gated(x, encoded), None if self.scene is None else self.scene(encoded))

    def _reduced(self, features: Sequence[Tensor]) -> Tensor:
        x = self.reduce(features[-1])
        if self.join is None:
            return x
        beside = [unit(resized(low, x.shape[2:])) for unit, low in zip(self.lateral, features[-3:-1], strict=True)]
        return self.join(torch.cat([x, *beside], 1))

    def _gated(self, x: Tensor, encoded: Tensor) -> Tensor:
        gate = self.gate(encoded).sigmoid()[:, :, None, None]
        return self.dropout((x + x * gate).relu())
