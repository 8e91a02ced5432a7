"""Scores of fine features added to the coarse ones: details that a coarse grid has lost, no offset can restore.

Shapes: B batch, C classes, h×w coarse grid, g×v grid of a fine feature, H×W image.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from offstride.features import NO_GUIDES, FeatureInfo, Guides, level_of_stride
from offstride.field import BilinearField, LogitField, resized
from offstride.layers import convolution
from offstride.ops.grid import Origin
from offstride.upsamplers.base import Compared, Size, Upsampler, check_positive
from offstride.upsamplers.bilinear import Bilinear


class Residual(Upsampler):
    """Fine features get a classifier of their own. Its scores are added, on their grid, to the coarse ones that another
    upsampler brings there, and the sum goes on to the image bilinearly: the skip connections of FCN (Long et al., CVPR
    2015, §4.2), with a 3×3 convolution between features and classifier. At first the fine scores are zero.

    Args:
        classes: Number of classes C.
        levels: What the backbone returns.
        upsample: Upsampler of the coarse scores to the grid of the fine feature; bilinear by default.
        stride: Stride of the fine feature, or of the folded image where there is none, see `guide_levels`.
        channels: Channels of the 3×3 convolution between feature and classifier.
        origin: Pixel convention from there to the image.

    Raises:
        ValueError: If an argument is out of range, or the backbone has no feature of that stride.
    """

    compared_as = (Compared("scores of features of stride 4, added to the coarse ones", "Long et al. 2015"),)

    def __init__(
        self,
        classes: int,
        levels: Sequence[FeatureInfo],
        upsample: Upsampler | None = None,
        stride: int = 4,
        channels: int = 32,
        origin: Origin = "center",
    ) -> None:
        super().__init__(origin)
        check_positive(channels=channels)
        self.upsample = Bilinear(origin=origin) if upsample is None else upsample
        if not self.upsample.reads_scores:
            raise ValueError(f"upsampler: expected one that reads scores, got {type(self.upsample).__name__}")
        self.level = level_of_stride(levels, stride)
        self.stride = levels[self.level].stride
        self.refine = convolution(levels[self.level].channels, channels, 3)
        self.classify = nn.Conv2d(channels, classes, 1)
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)  # type: ignore[arg-type]

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`; raises a `ValueError` without the features of a backbone."""
        if not guides.levels:
            raise ValueError("guides: expected the features of the backbone, got none")
        fine = self.classify(self.refine(guides.levels[self.level]))
        grid = (fine.shape[2], fine.shape[3])
        if guides.image is not None:
            guides = guides._replace(image=resized(guides.image, grid))
        coarse = self.upsample(scores, features, grid, guides).dense()
        return BilinearField(coarse + fine, size, self.origin)

    def shortest_side(self, stride: int, fine: int = 1) -> int:
        """That of the upsampler to the grid of the fine feature."""
        return self.upsample.shortest_side(stride, self.stride)
