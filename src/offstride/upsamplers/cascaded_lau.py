"""Location-aware upsampling in several steps (2× + 2× + 2×), which the paper names as future work: "Location-aware
Upsampling for Semantic Segmentation", He et al., arXiv 1911.05250, §4.2.1.

Shapes: B batch, C classes, D feature channels, h×w coarse grid, H×W image.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from offstride.features import NO_GUIDES, Guides
from offstride.field import LogitField
from offstride.ops.grid import Origin, coordinate_dtype
from offstride.ops.sample import located_sample
from offstride.upsamplers.base import Size, Upsampler, check_choice
from offstride.upsamplers.lau import LARGEST_SCALE, ZERO_START, Init, Rest, offset_field


class CascadedLaU(Upsampler):
    """LaU whose steps upsample scores and features alike, so that each step predicts finer offsets than the one before.

    A 1×1 convolution reduces the features once; every step is a 3×3 convolution for each axis and a pixel shuffle. The
    last step is a field: its scores are not rendered.

    Args:
        in_channels: Channels D of the features that feed the classifier.
        scales: Factor of each step.
        hidden: Channels that the features are reduced to.
        origin: See `LaU`.
        init: `"xavier"`, or `"zero"` to start from bilinear upsampling in each step.
        rest: What is interpolated to an image that the last step does not reach, see `LaU`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        scales: Sequence[int] = (2, 2, 2),
        hidden: int = 128,
        origin: Origin = "center",
        init: Init = "xavier",
        rest: Rest = "scores",
    ) -> None:
        super().__init__(origin)
        if not scales or min(scales) < 1:
            raise ValueError(f"scales: expected positive whole numbers, got {list(scales)}")
        check_choice("init", init, Init)
        check_choice("rest", rest, Rest)
        self.rest: Rest = rest
        self.scale = prod(scales)
        reduce = nn.Conv2d(in_channels, hidden, 1, bias=False)
        nn.init.xavier_uniform_(reduce.weight)
        self.reduce = nn.Sequential(reduce, nn.LeakyReLU(0.01))
        self.steps = nn.ModuleList(OffsetStep(hidden, scale, init) for scale in scales)

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """See `Upsampler`."""
        hidden = self.reduce(features)
        for step in self.steps[:-1]:
            offsets = step(hidden)
            scores = located_sample(scores, offsets, origin=self.origin).to(scores.dtype)
            hidden = located_sample(hidden, offsets, origin=self.origin).to(hidden.dtype)
        return offset_field(scores, self.steps[-1](hidden), size, self.origin, self.rest)

    def offset_layers(self) -> list[nn.Module]:
        """All convolutions."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]

    @classmethod
    def start_options(cls, factor: int) -> dict[str, Any]:
        """Zero offsets, in steps of 2."""
        return {"scales": (2,) * max(1, min(factor, LARGEST_SCALE).bit_length() - 1), **ZERO_START}


class OffsetStep(nn.Module):
    """`(B, D, h, w)` features to `(B, 2, s·h, s·w)` offsets (y, x) in pixels of the grid before the step."""

    def __init__(self, channels: int, scale: int, init: Init) -> None:
        super().__init__()
        self.vertical = nn.Conv2d(channels, scale**2, 3, padding=1, bias=False)
        self.horizontal = nn.Conv2d(channels, scale**2, 3, padding=1, bias=False)
        self.shuffle = nn.PixelShuffle(scale)
        for layer in (self.vertical, self.horizontal):
            nn.init.xavier_uniform_(layer.weight) if init == "xavier" else nn.init.zeros_(layer.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Predict offsets, float32 or better."""
        offsets = torch.cat((self.shuffle(self.vertical(features)), self.shuffle(self.horizontal(features))), 1)
        return offsets.to(coordinate_dtype(offsets.dtype))
