"""Location-aware upsampling (LaU): "Location-aware Upsampling for Semantic Segmentation", He et al., arXiv 1911.05250.

Shapes: B batch, C classes, D feature channels, h×w coarse grid, k the factor that LaU covers, M offset groups, H×W
image.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offstride.features import NO_GUIDES, FeatureInfo, Guides, level_of_stride
from offstride.field import BilinearField, LocatedField, LogitField, resized
from offstride.layers import convolution
from offstride.ops.grid import Origin, coordinate_dtype, same_grid
from offstride.ops.interpolate import bilinear_map
from offstride.upsamplers.base import Compared, Size, Upsampler, check_choice, check_positive

Init = Literal["xavier", "zero"]
Rest = Literal["scores", "offsets"]
"""What is interpolated beyond the factor of the offsets: the scores that they give, or the offsets themselves."""

LARGEST_SCALE = 8
"""Largest factor of predicted offsets that replace an interpolation; beyond it the offsets are interpolated."""

ZERO_START = {"init": "zero", "rest": "offsets"}
"""Options with which offsets initially give bilinear interpolation, whatever the factor."""

PAPER = "He et al. 2019"


class OffsetBranch(nn.Sequential):
    """Offsets along one axis (LaU, Fig. 5): 1×1 → leaky ReLU → 3×3 → pixel shuffle, without biases.

    `(B, D, h, w)` features become `(B, M, k·h, k·w)` offsets in coarse pixels, with `D·hidden + 9·hidden·M·k²`
    parameters.
    """

    def __init__(self, in_channels: int, scale: int, groups: int, hidden: int, init: Init) -> None:
        reduce = nn.Conv2d(in_channels, hidden, 1, bias=False)
        predict = nn.Conv2d(hidden, groups * scale**2, 3, padding=1, bias=False)
        super().__init__(reduce, nn.LeakyReLU(0.01), predict, nn.PixelShuffle(scale))
        nn.init.xavier_uniform_(reduce.weight)
        if init == "xavier":
            nn.init.xavier_uniform_(predict.weight)
        else:
            nn.init.zeros_(predict.weight)


class LowLevelGuide(nn.Module):
    """A low-level feature, reduced by a 1×1 convolution, with all its places stacked in channels on the coarse grid.

    Args:
        levels: What the backbone returns, its main feature last.
        stride: Stride of the low-level feature, see `level_of_stride`.
        channels: Channels that it is reduced to.

    Raises:
        ValueError: If there is no such feature, or its stride does not divide that of the main one.
    """

    def __init__(self, levels: Sequence[FeatureInfo], stride: int, channels: int) -> None:
        super().__init__()
        self.level = level_of_stride(levels, stride)
        coarse, stride = levels[-1].stride, levels[self.level].stride
        if coarse % stride:
            raise ValueError(f"guide_stride: expected a divisor of the output stride {coarse}, got {stride}")
        self.factor = coarse // stride
        self.out_channels = channels * self.factor**2
        self.reduce = nn.Conv2d(levels[self.level].channels, channels, 1)

    def forward(self, guides: Guides, like: Tensor) -> Tensor:
        """`(B, channels · factor², h, w)` beside a `(B, …, h, w)` map."""
        if not guides.levels:
            raise ValueError("guides: expected the features of the backbone for guide_stride, got none")
        size = [length * self.factor for length in like.shape[2:]]
        return F.pixel_unshuffle(resized(self.reduce(guides.levels[self.level]), size), self.factor)


class LaU(Upsampler):
    """Location-aware upsampling: two branches predict where in the coarse scores every fine pixel reads (LaU, §3.1.2
    and §3.3).

    The branches cover a factor of `scale`. If that reaches the image, the field reads the coarse scores at full
    resolution (offsets that are a few pixels larger than the image, because its size does not divide, are resampled to
    it). Otherwise the field is rendered at `scale` times the coarse grid and goes on to the image bilinearly, as in the
    paper (4× of the 8× at output stride 8).

    Args:
        in_channels: Channels D of the features that predict offsets: those that feed the classifier.
        scale: Factor k.
        groups: Offset groups M: 1, as in the paper, moves all classes together; the number of classes moves each on its
            own.
        hidden: Channels C′ inside a branch. 128 gives the parameters of the paper's Table 1; its ResNet-101 models have
            64.
        origin: `"center"`, in which zero offsets are bilinear upsampling, or `"corner"`, the convention of the released
            code.
        init: `"xavier"` as released, or `"zero"` to start from exactly bilinear upsampling.
        block: Put a 3×3 convolution with batch normalisation and ReLU before the branches, as the paper's ASPP models
            have.
        levels: What the backbone returns; needed for `guide_stride`.
        guide_stride: Let the branches see a low-level feature of this stride as well, or the folded image where there
            is none (ours, not the paper's): 1×1 to `guide_channels`, brought to the coarse grid by pixel unshuffle,
            beside their usual input.
        guide_channels: Channels that it is reduced to.
        rest: What goes on to an image that offsets do not reach: `"scores"` on their grid, as in the paper, or the
            `"offsets"` themselves; then zero offsets are the bilinear upsampling of the coarse scores at any `scale`.

    Raises:
        ValueError: If an argument is out of range, or the backbone has no feature of that stride.
    """

    compared_as = (
        Compared("LaU, half of the stride, then bilinear ×2; cross-entropy alone", PAPER),
        Compared("LaU, half of the stride, then bilinear ×2; offset-guided loss", PAPER, "+off", location="guided"),
        Compared(
            "LaU, half of the stride, then bilinear ×2; offset-regression loss", PAPER, "+reg", location="regression"
        ),
        Compared(
            "LaU whose offsets also see features of stride 4; cross-entropy alone", "", "+guide", {"guide_stride": 4}
        ),
    )

    def __init__(
        self,
        in_channels: int,
        scale: int = 4,
        groups: int = 1,
        hidden: int = 128,
        origin: Origin = "center",
        init: Init = "xavier",
        block: bool = False,
        levels: Sequence[FeatureInfo] = (),
        guide_stride: int | None = None,
        guide_channels: int = 16,
        rest: Rest = "scores",
    ) -> None:
        super().__init__(origin)
        check_positive(
            in_channels=in_channels, scale=scale, groups=groups, hidden=hidden, guide_channels=guide_channels
        )
        check_choice("init", init, Init)
        check_choice("rest", rest, Rest)
        self.scale = scale
        self.rest: Rest = rest
        self.block = convolution(in_channels, in_channels, 3) if block else nn.Identity()
        self.guide = None
        if guide_stride is not None:
            self.guide = LowLevelGuide(levels, guide_stride, guide_channels)
            in_channels += self.guide.out_channels
        self.vertical = OffsetBranch(in_channels, scale, groups, hidden, init)
        self.horizontal = OffsetBranch(in_channels, scale, groups, hidden, init)

    def offsets(self, features: Tensor, guides: Guides = NO_GUIDES) -> Tensor:
        """`(B, 2M, k·h, k·w)` offsets from `(B, D, h, w)` features: (y, x) pairs, coarse pixels, float32 or better."""
        features = self.block(features)
        if self.guide is not None:
            features = torch.cat((features, self.guide(guides, features)), 1)
        pairs = torch.stack((self.vertical(features), self.horizontal(features)), 2)
        return pairs.flatten(1, 2).to(coordinate_dtype(pairs.dtype))

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`."""
        return offset_field(scores, self.offsets(features, guides), size, self.origin, self.rest)

    def offset_layers(self) -> list[nn.Module]:
        """Four convolutions, which the paper trains at ten times the rate and without weight decay."""
        return [self.vertical[0], self.vertical[2], self.horizontal[0], self.horizontal[2]]

    @classmethod
    def model_options(cls, options: Mapping[str, Any], stride: int) -> dict[str, Any]:
        """Offsets cover half of the stride, as in the paper."""
        return {"scale": max(1, stride // 2), **options}

    @classmethod
    def start_options(cls, factor: int) -> dict[str, Any]:
        """Zero offsets."""
        return {"scale": min(factor, LARGEST_SCALE), **ZERO_START}

    def extra_repr(self) -> str:
        """Show factor and pixel convention when printed."""
        return f"scale={self.scale}, origin={self.origin!r}"


def offset_field(
    scores: Tensor, offsets: Tensor, size: tuple[int, int], origin: Origin, rest: Rest = "scores"
) -> LogitField:
    """The field of scores read with offsets on a grid of any size: at the image's resolution if the offsets reach it or
    are interpolated to it, and otherwise on their own grid, bilinear from there on.
    """
    height, width = offsets.shape[2:]
    if same_grid((height, width), size):
        return LocatedField(scores, offsets, origin)
    if rest == "offsets" or (height >= size[0] and width >= size[1]):
        return LocatedField(scores, bilinear_map(offsets, size, origin=origin), origin)
    return BilinearField(LocatedField(scores, offsets, origin), size, origin)
