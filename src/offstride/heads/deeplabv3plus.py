"""DeepLabv3+: "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", Chen et al., ECCV
2018.

Shapes: B batch, h×w coarse grid, g×v grid of the low-level feature.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from offstride.features import FeatureInfo
from offstride.field import resized
from offstride.heads.aspp import ASPPHead
from offstride.heads.base import Head
from offstride.heads.low_level import LowLevelFusion, feature_index

STRIDE = 4
"""Stride of the low-level feature of the paper."""


class DeepLabv3PlusHead(Head):
    """ASPP on the last feature, upsampled to the grid of a low-level feature, which joins it by a 1×1 convolution; then
    two 3×3 convolutions (§3.1).

    Args:
        features: What the backbone returns.
        low_level: Name of the low-level feature; by default the last one of stride 4.
        rates: Dilations of ASPP, see `ASPPHead`.
        separable: Whether all 3×3 convolutions are depthwise separable.
        channels: Channels of ASPP and of the result.
        low_channels: Channels that the low-level feature is reduced to.
        upsample: Upsampler of the `(B, channels, h, w)` result of ASPP, for that many channels: it gets the result both
            as values and as features, and must not need an image. LaU is used here in the LaU paper's Table 7, which
            gives no further detail. By default, bilinear.
        dropout: Share of elements of the result of ASPP that are dropped in training; the paper names none, its
            released code has 0.1.

    Raises:
        ValueError: If there is no such low-level feature.
    """

    atrous = True

    def __init__(
        self,
        features: Sequence[FeatureInfo],
        low_level: str | None = None,
        rates: Sequence[int] = (6, 12, 18),
        separable: bool = False,
        channels: int = 256,
        low_channels: int = 48,
        upsample: nn.Module | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.index = _stride_4(features) if low_level is None else feature_index(features, low_level)
        self.aspp = ASPPHead(features, rates, channels, dropout, separable=separable)
        self.upsample = upsample
        self.fuse = LowLevelFusion(features[self.index].channels, channels, low_channels, separable)
        self.out_channels, self.out_stride = channels, features[self.index].stride

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, channels, g, v)` from all features of the backbone."""
        values, low = self.aspp(features), features[self.index]
        size = (low.shape[2], low.shape[3])
        values = resized(values, size) if self.upsample is None else self.upsample(values, values, size).dense()
        return self.fuse(values, low)


def _stride_4(features: Sequence[FeatureInfo]) -> int:
    indices = [index for index, info in enumerate(features) if info.stride == STRIDE]
    if not indices:
        raise ValueError(f"low_level: expected a feature of stride {STRIDE}, got {[info.stride for info in features]}")
    return indices[-1]
