"""Sub-pixel convolution in place of upsampling: "Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel Convolutional Neural Network", Shi et al., CVPR 2016; as a baseline of LaU (Table 3a).

Shapes: B batch, C classes, D feature channels, h×w coarse grid, H×W image.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

from torch import Tensor, nn

from offstride.features import NO_GUIDES, Guides
from offstride.field import BilinearField
from offstride.ops.grid import Origin
from offstride.upsamplers.base import Compared, Size, Upsampler


class PixelShuffle(Upsampler):
    """3×3 convolution to C·s² channels → pixel shuffle, for every factor s; then a 3×3 convolution to scores.

    With 59 classes and `scales=(2,)` these are the layers "236C3 + PS2 + 59C3" of LaU, Table 3a; `(3,)` and `(2, 2)`
    are its other rows. There is nothing between the layers, as printed. What is left to the image's size is bilinear.

    Args:
        in_channels: Channels D of the features.
        classes: Number of classes C.
        scales: Factors of the shuffles.
        origin: Pixel convention of the bilinear rest.

    Raises:
        ValueError: If a factor is no positive number.
    """

    reads_scores: ClassVar[bool] = False
    compared_as = (Compared("sub-pixel convolution ×8, then bilinear", "Shi et al. 2016", options={"scales": [8]}),)

    def __init__(
        self, in_channels: int, classes: int, scales: Sequence[int] = (2,), *, origin: Origin = "center"
    ) -> None:
        super().__init__(origin)
        if not scales or min(scales) < 1:
            raise ValueError(f"scales: expected positive whole numbers, got {list(scales)}")
        self.scale = prod(scales)
        layers: list[nn.Module] = []
        for scale in scales:
            layers += [nn.Conv2d(in_channels, classes * scale**2, 3, padding=1), nn.PixelShuffle(scale)]
            in_channels = classes
        self.layers = nn.Sequential(*layers, nn.Conv2d(classes, classes, 3, padding=1))

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> BilinearField:
        """See `Upsampler`; both maps are the features."""
        return BilinearField(self.layers(features), size, self.origin)
