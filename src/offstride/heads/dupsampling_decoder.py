"""Decoder of DUpsampling: "Decoders Matter for Semantic Segmentation: Data-Dependent Decoding Enables Flexible Feature
Aggregation", Tian et al., CVPR 2019, §3.3.

Shapes: B batch, h×w coarse grid.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from offstride.features import FeatureInfo
from offstride.field import resized
from offstride.heads.aspp import ASPPHead
from offstride.heads.base import Head
from offstride.heads.low_level import LowLevelFusion, feature_index


class DUpsamplingDecoder(Head):
    """The encoder of DeepLabv3+ (ASPP) and any low-level features, all of them on the coarsest grid (Eq. 8, Fig. 2), to
    be followed by DUpsampling.

    Every low-level feature goes to the grid of the last feature bilinearly, is reduced by a 1×1 convolution and joined
    by two separable 3×3 convolutions. Several are joined one after another, and none leaves ASPP as it is. The paper
    does not say so, but its Table 2 has these costs. (It also follows from them that the 1×1 convolution comes after
    the resampling.)

    Args:
        features: What the backbone returns.
        low_level: Names of the low-level features, in the order in which they are joined.
        channels: Channels of ASPP and of the result.
        low_channels: Channels that each low-level feature is reduced to.
        vanilla: The decoder of DeepLabv3+ instead (Eq. 7, Fig. 1), with which the paper compares: values go to the grid
            of the low-level feature. The result has the stride of the last of `low_level`.
        rates: Dilations of ASPP, see `ASPPHead`.
        separable: Whether the 3×3 convolutions of ASPP are depthwise separable too.
        dropout: Share of elements of the result of ASPP that are dropped in training; the paper names none.

    Raises:
        ValueError: If the backbone has no such feature.
    """

    atrous = True

    def __init__(
        self,
        features: Sequence[FeatureInfo],
        low_level: Sequence[str] = (),
        channels: int = 256,
        low_channels: int = 48,
        vanilla: bool = False,
        rates: Sequence[int] = (6, 12, 18),
        separable: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.vanilla = vanilla
        self.indices = [feature_index(features, name) for name in low_level]
        self.aspp = ASPPHead(features, rates, channels, dropout, separable=separable)
        self.stacks = nn.ModuleList(
            LowLevelFusion(features[index].channels, channels, low_channels, separable=True) for index in self.indices
        )
        last = self.indices[-1] if vanilla and self.indices else -1
        self.out_channels, self.out_stride = channels, features[last].stride

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, channels, h, w)` from all features of the backbone."""
        return self.aggregate(self.aspp(features), [features[index] for index in self.indices])

    def aggregate(self, values: Tensor, low_level: Sequence[Tensor]) -> Tensor:
        """Join the result of ASPP, `(B, channels, h, w)`, and the low-level features: all that the paper's cost of a
        decoder covers before the upsampling.
        """
        for stack, low in zip(self.stacks, low_level, strict=True):
            if self.vanilla:
                values = stack(resized(values, low.shape[2:]), low)
            else:
                values = stack(values, resized(low, values.shape[2:]))
        return values
