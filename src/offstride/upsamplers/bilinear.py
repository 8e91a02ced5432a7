"""Bilinear upsampling, the baseline of all others."""

from torch import Tensor

from offstride.features import NO_GUIDES, Guides
from offstride.field import BilinearField
from offstride.upsamplers.base import Compared, Size, Upsampler


class Bilinear(Upsampler):
    """Bilinear upsampling without parameters; `origin="center"` equals `interpolate(align_corners=False)`."""

    compared_as = (Compared("bilinear interpolation"),)

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> BilinearField:
        """See `Upsampler`; `features` are not used."""
        return BilinearField(scores, size, self.origin)

    def extra_repr(self) -> str:
        """Show the pixel convention when printed."""
        return f"origin={self.origin!r}"
