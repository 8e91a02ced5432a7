"""Joint bilateral upsampling: "Joint Bilateral Upsampling", Kopf et al., ACM Transactions on Graphics (SIGGRAPH) 2007.

Shapes: B batch, C classes, h×w coarse grid, K the window, H×W image, R rows of a band.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.features import NO_GUIDES, Guides
from offstride.field import LogitField
from offstride.ops.grid import base_coordinates, coordinate_dtype
from offstride.upsamplers.base import Compared, Size, Upsampler, check_odd
from offstride.upsamplers.reassembly import WeightedWindowField, centres, window_rows


class JointBilateral(Upsampler):
    """Coarse scores are averaged with weights that fall with the distance in the image and in colour (Eq. 3), both
    Gaussians: sharp edges of the image show in the labels. It has no parameters.

    The colour of a coarse pixel is the mean over its share of the image. Pixels beyond the map do not count.

    Args:
        spatial: Standard deviation of the spatial Gaussian, in coarse pixels.
        colour: Standard deviation of the Gaussian of colours, in standard deviations of the normalised image.
        window: Width K of the window, in coarse pixels.

    Raises:
        ValueError: If an argument is out of range.
    """

    compared_as = (Compared("joint bilateral upsampling, guided by the image", "Kopf et al. 2007"),)

    def __init__(self, spatial: float = 0.7, colour: float = 0.5, window: int = 5) -> None:
        super().__init__()
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
        return JointBilateralField(scores, guides.image, self.window, self.spatial, self.colour)

    def extra_repr(self) -> str:
        """Show both deviations when printed."""
        return f"spatial={self.spatial}, colour={self.colour}, window={self.window}"


@dataclass(frozen=True, eq=False)
class JointBilateralField(WeightedWindowField):
    """Weights of a band are computed when it is rendered.

    Args:
        scores: `(B, C, h, w)`.
        image: `(B, 3, H, W)`.
        width: Window K.
        spatial: See `JointBilateral`.
        colour: Likewise.
    """

    scores: Tensor
    image: Tensor
    width: int
    spatial: float
    colour: float

    @property
    def size(self) -> tuple[int, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.image.shape[2], self.image.shape[3]

    def weights(self, start: int, stop: int) -> Tensor:
        image = self.image.to(coordinate_dtype(self.image.dtype))
        h, w = self.scores.shape[2:]
        colours = F.adaptive_avg_pool2d(image, (h, w))
        inside = torch.ones_like(colours[:1, :1])
        y, x = (self._distances(fine, n) for fine, n in zip(self.size, (h, w), strict=True))
        space = y[start:stop].T[:, None, :, None] + x.T[None, :, None, :]  # (K, K, R, W)
        rows = (start, stop)
        of_colours = window_rows(colours, self.size, self.width, rows)
        present = window_rows(inside, self.size, self.width, rows)
        exponents = []
        for near, colour, exists in zip(space.flatten(0, 1), of_colours, present, strict=True):
            difference = (image[:, :, start:stop] - colour).square().sum(1) / (2 * self.colour**2)
            exponents.append((-difference - near).masked_fill(exists[:, 0] == 0, -torch.inf))
        return torch.stack(exponents, 1).softmax(1)

    def _distances(self, fine: int, coarse: int) -> Tensor:
        """`(fine, K)` exponents of the spatial Gaussian along an axis."""
        reach = torch.arange(self.width, device=self.image.device) - self.width // 2
        place = base_coordinates(fine, coarse, "center", device=self.image.device)
        neighbours = centres(fine, coarse, self.image)[:, None] + reach
        return (place[:, None] - neighbours).square() / (2 * self.spatial**2)
