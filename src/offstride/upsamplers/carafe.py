"""CARAFE: "CARAFE: Content-Aware ReAssembly of FEatures", Wang et al., ICCV 2019.

Shapes: B batch, C classes, D feature channels, h×w coarse grid, s the factor, K the window, H×W image.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from offstride.features import NO_GUIDES, Guides
from offstride.field import LogitField
from offstride.ops.grid import Origin, coordinate_dtype
from offstride.upsamplers.base import Compared, Size, Upsampler, check_odd, check_positive, to_image
from offstride.upsamplers.reassembly import ReassembledField


class CARAFE(Upsampler):
    """Kernels predicted from the features reassemble the coarse scores (§3.2): a 1×1 convolution to `compressed`
    channels, a convolution to s²·K² channels, pixel shuffle and softmax over the window.

    With D = 256 channels and the defaults of the paper (s = 2, K = 5, 64 channels) it has 74,148 parameters. What is
    left of the factor to the image is bilinear.

    Args:
        in_channels: Channels D of the features.
        scale: Factor s.
        window: Width K of the window (k_up).
        compressed: Channels C_m of the compressed features.
        encoder: Width of the convolution that predicts kernels (k_encoder); K - 2 serves best (§5.3).
        origin: Pixel convention of the bilinear rest.

    Raises:
        ValueError: If an argument is out of range.
    """

    compared_as = (Compared("CARAFE ×4, then bilinear", "Wang et al. 2019", options={"scale": 4}),)

    def __init__(
        self,
        in_channels: int,
        scale: int = 2,
        window: int = 5,
        compressed: int = 64,
        encoder: int = 3,
        origin: Origin = "center",
    ) -> None:
        super().__init__(origin)
        check_positive(scale=scale, compressed=compressed)
        check_odd(window=window, encoder=encoder)
        self.scale = scale
        self.compress = nn.Conv2d(in_channels, compressed, 1)
        self.predict = nn.Conv2d(compressed, (scale * window) ** 2, encoder, padding=encoder // 2)
        self.shuffle = nn.PixelShuffle(scale)
        nn.init.xavier_uniform_(self.compress.weight)
        nn.init.normal_(self.predict.weight, std=0.001)  # as released: all neighbours weigh about the same at first
        for layer in (self.compress, self.predict):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def kernels(self, features: Tensor) -> Tensor:
        """`(B, K², s·h, s·w)` weights that sum to 1, float32 or better."""
        logits = self.shuffle(self.predict(self.compress(features)))
        return F.softmax(logits.to(coordinate_dtype(logits.dtype)), 1)

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`."""
        return to_image(ReassembledField(scores, self.kernels(features)), size, self.origin)
