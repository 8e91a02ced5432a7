"""The guided filter: "Guided Image Filtering", He, Sun and Tang, IEEE PAMI 35(6), 2013.

Shapes: B batch, C classes, n colours of the image, h×w coarse grid, H×W image, R rows of a band, r radius of a window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.features import NO_GUIDES, Guides, standardised
from offstride.field import LogitField
from offstride.ops.grid import Origin, coordinate_dtype, source_rows
from offstride.ops.interpolate import bilinear_rows, whole_bilinear
from offstride.upsamplers.base import Compared, Size, Upsampler, check_positive
from offstride.upsamplers.render import render

FLOOR = 1e-6
"""Least probability: the filter overshoots at edges, to below 0 and above 1."""


class GuidedFilter(Upsampler):
    """Probabilities of the classes are upsampled bilinearly, then filtered with the image as guide: around every pixel
    they become a linear function of its colour (Eqs. 11 to 19, with colour guide). It has no parameters.

    Probabilities are filtered, not scores: they are what is 0 or 1 on both sides of an edge, while the range of scores
    differs from model to model. The field holds their logarithms, so that its softmax, losses and confidences are those
    of the filtered probabilities; these add up to 1, and are cut off at `FLOOR` below. A map of one class is taken for
    scores of a sigmoid, and returned as such.

    The image is standardised first (each colour, over the whole image): `eps` means the same however it was normalised.

    Args:
        radius: Radius r of the windows, which are 2r + 1 pixels of the image wide. In a model the stride of its scores
            is the default.
        eps: Regularisation ε. The greater it is, the stronger an edge has to be to be followed.
        origin: Pixel convention of the bilinear upsampling.

    Raises:
        ValueError: If an argument is out of range.
    """

    compared_as = (Compared("guided filter of the probabilities, guided by the image", "He et al. 2013"),)

    def __init__(self, radius: int = 8, eps: float = 0.01, origin: Origin = "center") -> None:
        super().__init__(origin)
        check_positive(radius=radius)
        if not eps > 0:
            raise ValueError(f"eps: expected a number above 0, got {eps}")
        self.radius, self.eps = radius, eps

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`; raises a `ValueError` without an image of that size."""
        if guides.image is None or guides.image.shape[2:] != tuple(size):
            got = "none" if guides.image is None else tuple(guides.image.shape)
            raise ValueError(f"guides: expected an image of {tuple(size)} for the guided filter, got {got}")
        return GuidedFilterField(scores, standardised(guides.image), self.radius, self.eps, self.origin)

    @classmethod
    def model_options(cls, options: Mapping[str, Any], stride: int) -> dict[str, Any]:
        """Windows reach one coarse pixel far."""
        return {"radius": stride, **options}

    @classmethod
    def start_options(cls, factor: int) -> dict[str, Any]:
        """Likewise."""
        return {"radius": factor}

    def extra_repr(self) -> str:
        """Show all options when printed."""
        return f"radius={self.radius}, eps={self.eps}, origin={self.origin!r}"


@dataclass(frozen=True, eq=False)
class GuidedFilterField(LogitField):
    """Logarithms of filtered probabilities. A band is filtered with 2r rows above and below: r for the windows, and r
    for those of the pixels in them.

    Args:
        scores: `(B, C, h, w)`.
        guide: `(B, n, H, W)` image, float32 or better.
        radius: See `GuidedFilter`.
        eps: Likewise.
        origin: Likewise.
    """

    scores: Tensor
    guide: Tensor
    radius: int
    eps: float
    origin: Origin = "center"

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.scores.shape[:2], *self.guide.shape[2:]))

    @property
    def values(self) -> Tensor:
        return self.scores

    def bands(self) -> Iterator[tuple[int, int]]:
        """Bands as high as what is filtered around them, or higher."""
        H, least = self.shape[2], 4 * self.radius
        step = max(least, next(iter(super().bands()))[1])
        return ((start, min(start + step, H)) for start in range(0, H, step))

    def rows(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        size = (self.shape[2], self.shape[3])
        low, high = max(start - 2 * self.radius, 0), min(stop + 2 * self.radius, size[0])
        coarse = self.scores.shape[2]
        first, last = source_rows((low, high), size[0], coarse, self.origin)
        coarse_maps = probabilities(self.scores[:, :, first:last])
        maps = bilinear_rows(coarse_maps, size, (low, high), origin=self.origin, coarse=coarse, first=first)
        filtered = guided_filter(maps, self.guide[:, :, low:high], self.radius, self.eps)
        return logarithms(filtered[:, :, start - low : stop - low])


@render.register
def _guided_filter(field: GuidedFilterField) -> Tensor:
    maps = whole_bilinear(probabilities(field.scores), (field.guide.shape[2], field.guide.shape[3]), field.origin)
    return logarithms(guided_filter(maps, field.guide, field.radius, field.eps))


def probabilities(scores: Tensor) -> Tensor:
    """Of `(B, C, h, w)` scores, float32 or better: softmax, or the sigmoid of a single class."""
    scores = scores.to(coordinate_dtype(scores.dtype))
    return scores.softmax(1) if scores.shape[1] > 1 else scores.sigmoid()


def logarithms(filtered: Tensor) -> Tensor:
    """The opposite of `probabilities`."""
    if filtered.shape[1] > 1:
        return filtered.clamp(min=FLOOR).log()
    return filtered.clamp(FLOOR, 1 - FLOOR).logit()


def guided_filter(maps: Tensor, guide: Tensor, radius: int, eps: float) -> Tensor:
    """Filter maps with a guide of any number of colours (He et al., Eqs. 11, 13, 14 and 19); windows end at the edge of
    the image.

    Args:
        maps: `(B, C, H, W)` p, any maps.
        guide: `(B, n, H, W)` I, of the same type.
        radius: r.
        eps: ε.

    Returns:
        `(B, C, H, W)` q.
    """
    colours, n = guide.split(1, 1), guide.shape[1]
    means, mean = [box_mean(colour, radius) for colour in colours], box_mean(maps, radius)
    covariance = [[box_mean(colours[i] * colours[j], radius) - means[i] * means[j] for j in range(n)] for i in range(n)]
    for i in range(n):
        covariance[i][i] = covariance[i][i] + eps
    joint = [box_mean(colour * maps, radius) - own * mean for colour, own in zip(colours, means, strict=True)]
    slopes = _solved(covariance, joint)
    filtered = box_mean(mean - _products(slopes, means), radius)
    return filtered + _products([box_mean(slope, radius) for slope in slopes], colours)


def _products(slopes: Sequence[Tensor], colours: Sequence[Tensor]) -> Tensor:
    return sum((slope * colour for slope, colour in zip(slopes, colours, strict=True)), torch.zeros_like(slopes[0]))


def _solved(matrix: list[list[Tensor]], right: list[Tensor]) -> list[Tensor]:
    """Solve a system in every pixel by elimination: of elementwise operations alone, which every runtime has, and exact
    for windows of nearly one colour, where determinants are not.

    Args:
        matrix: n×n maps, symmetric and positive definite, so that no rows need be exchanged.
        right: n maps or stacks of maps.
    """
    matrix, right, n = [list(row) for row in matrix], list(right), len(right)
    for k in range(n):
        for i in range(k + 1, n):
            factor = matrix[i][k] / matrix[k][k]
            right[i] = right[i] - factor * right[k]
            for j in range(k + 1, n):
                matrix[i][j] = matrix[i][j] - factor * matrix[k][j]
    for k in reversed(range(n)):
        for j in range(k + 1, n):
            right[k] = right[k] - matrix[k][j] * right[j]
        right[k] = right[k] / matrix[k][k]
    return right


def box_mean(values: Tensor, radius: int) -> Tensor:
    """Means over windows of 2r + 1 pixels in both directions, of which those outside `(…, H, W)` maps do not count."""
    for axis in (-2, -1):
        index = torch.arange(values.shape[axis], dtype=values.dtype, device=values.device)
        before, after = index.clamp(max=radius), (values.shape[axis] - 1 - index).clamp(max=radius)
        count = before + after + 1
        values = _box_sum(values, radius, axis) / (count[:, None] if axis == -2 else count)
    return values


def _box_sum(values: Tensor, radius: int, axis: int) -> Tensor:
    """Sums over windows along an axis, put together of sums over 1, 2, 4, 8, … pixels: few additions, and none of the
    large sums of an integral image, whose differences are rounded.
    """
    length, width = values.shape[axis], 2 * radius + 1
    run = F.pad(values, (radius, radius) if axis == -1 else (0, 0, radius, radius))
    total, place, size = None, 0, 1
    while True:
        if width & size:
            part = run.narrow(axis, place, length)
            total = part if total is None else total + part
            place += size
        if 2 * size > width:
            return total  # pyright: ignore[reportReturnType] - widths are odd
        longer = run.shape[axis] - size
        run = run.narrow(axis, 0, longer) + run.narrow(axis, size, longer)
        size *= 2
