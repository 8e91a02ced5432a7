"""DUpsampling: "Decoders Matter for Semantic Segmentation: Data-Dependent Decoding Enables Flexible Feature
Aggregation", Tian et al., CVPR 2019.

Shapes: B batch, C classes, D feature channels, h×w coarse grid, r the window, H×W image.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from offstride.features import NO_GUIDES, Guides
from offstride.field import SubpixelField
from offstride.upsamplers.base import Compared, Size, Upsampler, check_positive
from offstride.upsamplers.label_basis import LabelBasis

CHANNELS = 64
"""Channels of the code by default."""


class DUpsampling(Upsampler):
    """1×1 convolution to a code of few channels, from which one matrix makes the scores of a window of r×r pixels
    (§3.1), softmax with a learned temperature (Eq. 6).

    Args:
        in_channels: Channels D of the features.
        classes: Number of classes C.
        scale: Window r: the stride of the features, unless the image is not to be reached.
        channels: Channels C̃ of the code: 64 with ResNet-50, 128 with Xception-65 in the paper.
        temperature: Whether T is learned (from 1); 1 otherwise. Its logarithm is the parameter: at the learning rates
            of the papers T itself soon crosses zero, where scores change their sign, and diverges.
        trainable: Whether W and the mean window are trained, which the paper leaves open; both are saved in any case.

    Attributes:
        weight: `(r, r, C, C̃)` matrix W: row of the window, column, class, code. Random unless `load_basis` is called.
        bias: `(r, r, C)` mean window μ.
        temperature: 0-dim T, or None where it is 1.

    Raises:
        ValueError: If an argument is out of range.
    """

    reads_scores: ClassVar[bool] = False
    compared_as = (Compared("DUpsampling, whole stride, starting from a label basis", "Tian et al. 2019"),)

    def __init__(
        self,
        in_channels: int,
        classes: int,
        scale: int = 16,
        channels: int = CHANNELS,
        temperature: bool = True,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        check_positive(scale=scale, channels=channels)
        self.scale = scale
        self.encode = nn.Conv2d(in_channels, channels, 1)
        self.weight = nn.Parameter(torch.empty(scale, scale, classes, channels), trainable)
        self.bias = nn.Parameter(torch.zeros(scale, scale, classes), trainable)
        self.log_temperature = nn.Parameter(torch.zeros(())) if temperature else None
        nn.init.normal_(self.weight, std=channels**-0.5)

    @property
    def temperature(self) -> Tensor | None:
        """See `DUpsampling`."""
        return None if self.log_temperature is None else self.log_temperature.exp()

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> SubpixelField:
        """See `Upsampler`; both maps are the features."""
        return SubpixelField(self.encode(features), self.weight, self.bias, size, self.temperature)

    @classmethod
    def model_options(cls, options: Mapping[str, Any], stride: int) -> dict[str, Any]:
        """Windows are as wide as the stride."""
        completed = {"scale": stride, **options}
        if completed["scale"] != stride:
            raise ValueError(
                f"output_stride: the windows of this DUpsampling are {completed['scale']} pixels wide, "
                f"so its features must have that stride; got {stride}"
            )
        return completed

    @classmethod
    def start_options(cls, factor: int) -> dict[str, Any]:
        """Windows for the whole factor."""
        return {"scale": factor}

    @classmethod
    def basis_channels(cls, options: Mapping[str, Any]) -> int:
        """As many as the code has."""
        return options.get("channels", CHANNELS)

    def load_basis(self, path: str | Path) -> None:
        """Take W and the mean window from a file that `LabelBasis.save` or `offstride fit-upsampling` wrote.

        Raises:
            ValueError: Naming the path and what does not fit, see `set_basis`.
        """
        basis = LabelBasis.load(path)
        try:
            self.set_basis(basis)
        except ValueError as error:
            raise ValueError(f"label basis {path}: {error}") from error

    @torch.no_grad()
    def set_basis(self, basis: LabelBasis) -> None:
        """Take W and the mean window from a basis of the labels; of one with more channels, the leading ones.

        Raises:
            ValueError: If it has another window, other classes or fewer channels. The module is unchanged then.
        """
        r, _, classes, channels = self.weight.shape
        for name, expected, got in (("scale", r, basis.scale), ("classes", classes, basis.classes)):
            if expected != got:
                raise ValueError(f"{name}: expected {expected} as in the model, got {got}")
        if basis.channels < channels:
            raise ValueError(f"channels: expected at least {channels} as in the model, got {basis.channels}")
        self.weight.copy_(basis.weight[..., :channels])
        self.bias.copy_(basis.mean)

    def extra_repr(self) -> str:
        """Show the window when printed."""
        return f"scale={self.scale}"
