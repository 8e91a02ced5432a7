"""DySample: "Learning to Upsample by Learning to Sample", Liu et al., ICCV 2023.

Shapes: B batch, C classes, D feature channels, h×w coarse grid, s the factor, G groups, H×W image.
"""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from offstride.features import NO_GUIDES, Guides
from offstride.field import LogitField
from offstride.ops.grid import Origin, coordinate_dtype
from offstride.upsamplers.base import Compared, Size, Upsampler, check_choice, check_positive
from offstride.upsamplers.lau import LARGEST_SCALE, ZERO_START, Rest, offset_field

PAPER = "Liu et al. 2023"

Style = Literal["lp", "pl"]
Init = Literal["normal", "zero"]


class DySample(Upsampler):
    """A linear layer on the features predicts where in the coarse scores every fine pixel reads (§3.2): the field of
    LaU, with offsets that are predicted in another way.

    The four published variants: `style="lp"` (linear, then pixel shuffle) and `"pl"` (pixel shuffle, then linear), both
    with a static scope, `0.25 · linear(x)`, or a dynamic one ("+"), `0.5 · sigmoid(linear₁(x)) · linear₂(x)`; offsets
    are in coarse pixels. The paper upsamples features in groups of channels that move together (4 for lp, 8 for pl);
    class scores are one group by default. The rest of the factor to the image is bilinear.

    Args:
        in_channels: Channels D of the features.
        scale: Factor s.
        style: See above.
        dynamic: Predict the scope, too.
        groups: Groups G of classes; a divisor of their number.
        origin: Pixel convention: where zero offsets read; `"center"` is the paper's bilinear initialisation.
        rest: What is interpolated to an image that offsets do not reach, see `LaU`.
        init: `"normal"` as in the paper, offsets of about a thousandth of the features, or `"zero"`.

    Raises:
        ValueError: If an argument is out of range, or D does not divide by s² for `"pl"`.
    """

    compared_as = (
        Compared("DySample (lp) ×8, then bilinear", PAPER, options={"scale": 8}),
        Compared("DySample (lp, dynamic scope) ×8, then bilinear", PAPER, "+", options={"scale": 8, "dynamic": True}),
    )

    def __init__(
        self,
        in_channels: int,
        scale: int = 2,
        style: Style = "lp",
        dynamic: bool = False,
        groups: int = 1,
        origin: Origin = "center",
        rest: Rest = "scores",
        init: Init = "normal",
    ) -> None:
        super().__init__(origin)
        check_positive(scale=scale, groups=groups)
        check_choice("style", style, Style)
        if style == "pl" and in_channels % scale**2:
            raise ValueError(f"scale: expected one whose square divides {in_channels} channels for 'pl', got {scale}")
        check_choice("init", init, Init)
        check_choice("rest", rest, Rest)
        self.rest: Rest = rest
        self.scale, self.style = scale, style
        area = scale**2
        entering, leaving = (in_channels // area, 2 * groups) if style == "pl" else (in_channels, 2 * groups * area)
        self.move = nn.Conv2d(entering, leaving, 1)
        nn.init.normal_(self.move.weight, std=0.001 if init == "normal" else 0)
        nn.init.zeros_(self.move.bias)  # type: ignore[arg-type]
        self.scope = nn.Conv2d(entering, leaving, 1) if dynamic else None
        if self.scope is not None:  # sigmoid(0) · 0.5 is the static scope
            nn.init.zeros_(self.scope.weight)
            nn.init.zeros_(self.scope.bias)  # type: ignore[arg-type]

    def offsets(self, features: Tensor) -> Tensor:
        """`(B, 2G, s·h, s·w)` offsets: (y, x) pairs, coarse pixels, float32 or better."""
        if self.style == "pl":
            features = F.pixel_shuffle(features, self.scale)
        offsets = self.move(features)
        offsets = offsets * 0.25 if self.scope is None else offsets * self.scope(features).sigmoid() * 0.5
        if self.style == "lp":
            offsets = F.pixel_shuffle(offsets, self.scale)
        return offsets.to(coordinate_dtype(offsets.dtype))

    def offset_layers(self) -> list[nn.Module]:
        """The linear layers of offsets and scope."""
        return [self.move] if self.scope is None else [self.move, self.scope]

    @classmethod
    def start_options(cls, factor: int) -> dict[str, Any]:
        """Zero offsets."""
        return {"scale": min(factor, LARGEST_SCALE), **ZERO_START}

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`."""
        return offset_field(scores, self.offsets(features), size, self.origin, self.rest)

    def extra_repr(self) -> str:
        """Show factor and style when printed."""
        return f"scale={self.scale}, style={self.style!r}, origin={self.origin!r}"
