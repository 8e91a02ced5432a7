"""Fine scores beside the coarse ones that another upsampler brings: what a coarse grid has lost cannot be moved.

Shapes: B batch, C classes, D channels of a fine feature, h×w coarse grid, H×W image.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from offstride.features import NO_GUIDES, FeatureInfo, Guides, level_of_stride
from offstride.field import BilinearField, LogitField, SumField
from offstride.layers import convolution
from offstride.ops.grid import Origin, check_origin
from offstride.upsamplers.base import Upsampler
from offstride.upsamplers.bilinear import Bilinear


class Residual(Upsampler):
    """A fine feature of the backbone gets a classifier of its own, whose scores, upsampled bilinearly, are added to the
    coarse ones that another upsampler brings to the image (ours; the skip connections of FCN, Long et al., CVPR 2015,
    add before they upsample). At first they are zero.

    Args:
        classes: Number of classes C.
        levels: What the backbone returns.
        upsample: What brings the coarse scores to the image; bilinear by default.
        stride: Stride of the fine feature.
        channels: Channels of the 3×3 convolution between feature and classifier.
        origin: Pixel convention of the fine scores.

    Raises:
        ValueError: If an argument is out of range, or the backbone has no feature of that stride.
    """

    def __init__(
        self,
        classes: int,
        levels: Sequence[FeatureInfo],
        upsample: Upsampler | None = None,
        stride: int = 4,
        channels: int = 32,
        origin: Origin = "center",
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels: expected a positive whole number, got {channels}")
        check_origin(origin)
        self.origin: Origin = origin
        self.upsample = Bilinear(origin=origin) if upsample is None else upsample
        if not self.upsample.reads_scores:
            raise ValueError(f"upsampler: expected one that reads scores, got {type(self.upsample).__name__}")
        self.level = level_of_stride(levels, stride)
        self.refine = convolution(levels[self.level].channels, channels, 3)
        self.classify = nn.Conv2d(channels, classes, 1)
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)  # type: ignore[arg-type]

    def forward(
        self, scores: Tensor, features: Tensor, size: tuple[int, int], guides: Guides = NO_GUIDES
    ) -> LogitField:
        """See `Upsampler`.

        Raises:
            ValueError: If `guides` hold no features of the backbone.
        """
        if not guides.levels:
            raise ValueError("guides: expected the features of the backbone, got none")
        fine = self.classify(self.refine(guides.levels[self.level]))
        return SumField((self.upsample(scores, features, size, guides), BilinearField(fine, size, self.origin)))
