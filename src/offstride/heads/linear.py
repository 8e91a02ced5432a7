"""No head: the classifier reads the backbone, as in the cascaded models of "Rethinking Atrous Convolution for
Semantic Image Segmentation" (DeepLabv3), Chen et al., arXiv 1706.05587, §3.2.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from offstride.features import FeatureInfo
from offstride.heads.base import Head


class LinearHead(Head):
    """The last feature itself.

    Args:
        features: What the backbone returns; the last one is used.
        dropout: Share of elements that are dropped in training; the paper names none.
    """

    def __init__(self, features: Sequence[FeatureInfo], dropout: float = 0.0) -> None:
        super().__init__()
        self.out_channels, self.out_stride = features[-1].channels, features[-1].stride
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, D, h, w)`, the last of the features."""
        return self.dropout(features[-1])
