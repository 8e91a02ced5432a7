"""Joint bilateral upsampling: "Joint Bilateral Upsampling", Kopf et al., ACM Transactions on Graphics (SIGGRAPH) 2007.

Shapes: B batch, C classes, h×w coarse grid, K the window, H×W image, R rows of a band.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.features import NO_GUIDES, Guides, standardised
from offstride.field import LogitField
from offstride.ops.grid import Origin, base_coordinates, nearest
from offstride.ops.precision import without_autocast
from offstride.upsamplers.base import Compared, Size, Upsampler, check_odd
from offstride.upsamplers.reassembly import WeightedWindowField, window_rows


class JointBilateral(Upsampler):
    """Coarse scores are averaged with weights that fall with the distance in the image and in colour (Eq. 3), both
    Gaussians: sharp edges of the image show in the labels. It has no parameters.

    The colour of a coarse pixel is the mean over its share of the image. Pixels beyond the map do not count. The image
    is standardised first (each colour, over the whole image): `colour` means the same however it was normalised.

    Args:
        spatial: Standard deviation of the spatial Gaussian, in coarse pixels.
        colour: Standard deviation of the Gaussian of colours, in standard deviations of the image.
        window: Width K of the window, in coarse pixels.
        origin: Pixel convention, which says how far coarse pixels are.

    Raises:
        ValueError: If an argument is out of range.
    """

    compared_as = (Compared("joint bilateral upsampling, guided by the image", "Kopf et al. 2007"),)

    def __init__(self, spatial: float = 0.7, colour: float = 0.5, window: int = 5, origin: Origin = "center") -> None:
        super().__init__(origin)
        for name, value in (("spatial", spatial), ("colour", colour)):
            if not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        check_odd(window=window)
        self.spatial, self.colour, self.window = spatial, colour, window

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`; raises a `ValueError` without an image of that size."""
        if guides.image is None or guides.image.shape[2:] != tuple(size):
            got = "none" if guides.image is None else tuple(guides.image.shape)
            raise ValueError(f"guides: expected an image of {tuple(size)} for joint bilateral upsampling, got {got}")
        image = standardised(guides.image)
        return JointBilateralField(scores, image, self.window, self.spatial, self.colour, self.origin)

    def extra_repr(self) -> str:
        """Show all options when printed."""
        return f"spatial={self.spatial}, colour={self.colour}, window={self.window}, origin={self.origin!r}"


@dataclass(frozen=True, eq=False)
class JointBilateralField(WeightedWindowField):
    """Weights of a band are computed when it is rendered.

    Args:
        scores: `(B, C, h, w)`.
        image: `(B, 3, H, W)`, float32 or better.
        width: Window K.
        spatial: See `JointBilateral`.
        colour: Likewise.
        origin: Likewise.
    """

    scores: Tensor
    image: Tensor
    width: int
    spatial: float
    colour: float
    origin: Origin = "center"

    @property
    def size(self) -> tuple[int, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.image.shape[2], self.image.shape[3]

    def weights(self, start: int, stop: int) -> Tensor:
        h, w = self.scores.shape[2:]
        colours = self._colours(h, w)
        inside = torch.ones_like(colours[:1, :1])
        y, x = (self._distances(fine, n) for fine, n in zip(self.size, (h, w), strict=True))
        space = y[start:stop].T[:, None, :, None] + x.T[None, :, None, :]  # (K, K, R, W)
        rows = (start, stop)
        of_colours = window_rows(colours, self.size, self.width, rows, self.origin)
        present = window_rows(inside, self.size, self.width, rows, self.origin)
        exponents = []
        for near, colour, exists in zip(space.flatten(0, 1), of_colours, present, strict=True):
            difference = (self.image[:, :, start:stop] - colour).square().sum(1) / (2 * self.colour**2)
            exponents.append((-difference - near).masked_fill(exists[:, 0] == 0, -torch.inf))
        return torch.stack(exponents, 1).softmax(1)

    def _colours(self, h: int, w: int) -> Tensor:
        """`(B, 3, h, w)` mean colours of the shares of coarse pixels; at origin `aligned` the first and the last pixels
        have but half a share.
        """
        if self.origin != "aligned":
            return F.adaptive_avg_pool2d(self.image, (h, w))
        rows, columns = (self._shares(fine, coarse) for fine, coarse in zip(self.size, (h, w), strict=True))
        with without_autocast(self.image.device.type):
            return rows @ self.image @ columns.T

    def _shares(self, fine: int, coarse: int) -> Tensor:
        """`(coarse, fine)` weights of means over the pixels that are nearest to a coarse one."""
        owner = nearest(fine, coarse, self.origin, device=self.image.device)
        members = (owner == torch.arange(coarse, device=owner.device)[:, None]).to(self.image)
        return members / members.sum(1, keepdim=True).clamp(min=1)

    def _distances(self, fine: int, coarse: int) -> Tensor:
        """`(fine, K)` exponents of the spatial Gaussian along an axis."""
        reach = torch.arange(self.width, device=self.image.device) - self.width // 2
        place = base_coordinates(fine, coarse, self.origin, device=self.image.device)
        neighbours = nearest(fine, coarse, self.origin, device=self.image.device)[:, None] + reach
        return (place[:, None] - neighbours).square() / (2 * self.spatial**2)
