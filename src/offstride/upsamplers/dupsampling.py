"""DUpsampling: "Decoders Matter for Semantic Segmentation: Data-Dependent Decoding Enables Flexible Feature
Aggregation", Tian et al., CVPR 2019.

Shapes: B batch, C classes, D feature channels, h×w coarse grid, r the window, H×W image.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from offstride.field import SubpixelField
from offstride.upsamplers.base import Upsampler


class DUpsampling(Upsampler):
    """1×1 convolution to a code of few channels, from which one matrix makes the scores of a window of r×r pixels
    (§3.1), softmax with a learned temperature (Eq. 6).

    Args:
        in_channels: Channels D of the features.
        classes: Number of classes C.
        scale: Window r: the stride of the features, unless the image is not to be reached.
        channels: Channels C̃ of the code: 64 with ResNet-50, 128 with Xception-65 in the paper.
        temperature: Whether T is learned (from 1); 1 otherwise.
        trainable: Whether W and the mean window are trained. The paper does not say; both belong to the
            model's weights in any case.

    Attributes:
        weight: `(r, r, C, C̃)` matrix W: row of the window, column, class, code. Random unless it is fitted to labels.
        bias: `(r, r, C)` mean window μ.

    Raises:
        ValueError: If an argument is out of range.
    """

    reads_scores: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        classes: int,
        scale: int = 16,
        channels: int = 64,
        temperature: bool = True,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("channels", channels)):
            if value < 1:
                raise ValueError(f"{name}: expected a positive whole number, got {value}")
        self.scale = scale
        self.encode = nn.Conv2d(in_channels, channels, 1)
        self.weight = nn.Parameter(torch.empty(scale, scale, classes, channels), trainable)
        self.bias = nn.Parameter(torch.zeros(scale, scale, classes), trainable)
        self.temperature = nn.Parameter(torch.ones(())) if temperature else None
        nn.init.normal_(self.weight, std=channels**-0.5)

    def forward(self, scores: Tensor, features: Tensor, size: tuple[int, int]) -> SubpixelField:
        """See `Upsampler`; both maps are the features."""
        return SubpixelField(self.encode(features), self.weight, self.bias, size, self.temperature)

    def extra_repr(self) -> str:
        """Show the window when printed."""
        return f"scale={self.scale}"
