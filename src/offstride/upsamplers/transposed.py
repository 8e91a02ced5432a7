"""Transposed convolution of the scores: "Fully Convolutional Networks for Semantic Segmentation", Long et al., CVPR
2015, §3.3 and §4.1.

Shapes: B batch, C classes, h×w coarse grid, s the factor, H×W image.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offstride.features import NO_GUIDES, Guides
from offstride.field import LogitField, SubpixelField
from offstride.ops.grid import Origin
from offstride.upsamplers.base import Compared, Size, Upsampler, check_positive, to_image

_NEIGHBOURS = 3  # coarse rows, and columns, that the window of a coarse pixel depends on


class TransposedConvolution(Upsampler):
    """A learned kernel spreads every coarse score over its neighbourhood: 2s pixels wide, stride s, and at first
    bilinear interpolation of each class on its own.

    Beyond the map there are zeros: at the border scores fade, but for all classes alike. A fine pixel depends only on
    the 3×3 coarse scores around it, so that the field renders any rows from those.

    Args:
        classes: Number of classes C.
        scale: Factor s; the rest of the factor to the image is bilinear.
        separate: Keep classes apart: C kernels in place of C².
        origin: Pixel convention of the bilinear rest.

    Attributes:
        weight: `(C, C, k, k)` kernels from a class to a class, k = 2s - s mod 2; `(C, 1, k, k)` if they are kept apart.

    Raises:
        ValueError: If the scale is out of range.
    """

    compared_as = (Compared("transposed convolution ×8, then bilinear", "Long et al. 2015", options={"scale": 8}),)

    def __init__(self, classes: int, scale: int = 8, separate: bool = False, *, origin: Origin = "center") -> None:
        super().__init__(origin)
        check_positive(scale=scale)
        self.scale, self.classes = scale, classes
        kernel = bilinear_kernel(scale)
        weight = torch.zeros(classes, 1 if separate else classes, *kernel.shape)
        for c in range(classes):
            weight[c, 0 if separate else c] = kernel
        self.weight = nn.Parameter(weight)

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`; `features` are not used."""
        B, C, h, w = scores.shape
        codes = F.unfold(scores, _NEIGHBOURS, padding=1).view(B, _NEIGHBOURS**2 * C, h, w)
        covered = (min(size[0], self.scale * h), min(size[1], self.scale * w))
        bias = self.weight.new_zeros(self.scale, self.scale, C)
        return to_image(SubpixelField(codes, self._windows(), bias, covered), size, self.origin)

    @classmethod
    def start_options(cls, factor: int) -> dict[str, Any]:
        """A kernel for the whole factor."""
        return {"scale": factor}

    def _windows(self) -> Tensor:
        """`(s, s, C, 9C)` what the 3×3 scores around a coarse pixel, class by class, add to its window."""
        s, C = self.scale, self.classes
        weight = self.weight
        if weight.shape[1] != C:
            weight = torch.diag_embed(weight[:, 0].movedim(0, -1)).permute(2, 3, 0, 1)
        padding = (weight.shape[2] - s) // 2
        # Window pixel a reads kernel entry a + padding - d·s of the neighbour d rows below; beyond it are zeros.
        reach = s - padding
        wide = F.pad(weight, (reach, 2 * s - padding) * 2)
        starts = [(padding - d * s) + reach for d in (-1, 0, 1)]
        rows = torch.stack([wide[:, :, i : i + s] for i in starts], 2)
        both = torch.stack([rows[..., i : i + s] for i in starts], 3)  # (from, to, 3, 3, s, s)
        return both.permute(4, 5, 1, 0, 2, 3).reshape(s, s, C, -1)

    def extra_repr(self) -> str:
        """Show the factor when printed."""
        return f"scale={self.scale}, classes={self.classes}"


def bilinear_kernel(scale: int) -> Tensor:
    """`(k, k)` kernel with which a transposed convolution of stride s interpolates bilinearly; k = 2s - s mod 2."""
    width = 2 * scale - scale % 2
    centre = (width - 1) / 2
    line = 1 - (torch.arange(width) - centre).abs() / scale
    return line[:, None] * line
