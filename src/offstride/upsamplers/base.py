"""Base class of upsamplers: all that the rest of the library uses of one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, get_args

from torch import Tensor, nn

from offstride.features import NO_GUIDES, Guides
from offstride.field import BilinearField, LogitField
from offstride.ops.grid import Origin, check_origin, same_grid

Size = tuple[int, int]
"""`(H, W)`."""


class Compared(NamedTuple):
    """A name under which `offstride compare` trains an upsampler.

    Attributes:
        description: One line.
        paper: Authors and year; empty for our own.
        suffix: Added to the name of the upsampler.
        options: Options of the upsampler.
        location: `loss.location` of the recipe.
    """

    description: str
    paper: str = ""
    suffix: str = ""
    options: Mapping[str, Any] = {}
    location: str = "none"


class Upsampler(nn.Module, ABC):
    """From coarse class scores to a field over the image.

    Anything on a coarse grid can replace the scores: a decoder upsamples its features with the same modules through
    `dense()`. A new upsampler is one file and a line in `UPSAMPLERS`. It defines `forward`, and overrides other members
    where their defaults do not fit.

    Attributes:
        reads_scores: Whether there is a 1×1 classifier before it. An upsampler that classifies on its own (pixel
            shuffle, DUpsampling) gets the features in place of scores.
        compared_as: Names in comparisons. Without any it is compared by its own name, with its default options.
        scale: Factor that it upsamples by; the rest of the factor to the image is bilinear.
        origin: Pixel convention, see `offstride.ops.grid`.
    """

    reads_scores: ClassVar[bool] = True
    compared_as: ClassVar[tuple[Compared, ...]] = ()
    scale: int = 1

    def __init__(self, origin: Origin = "center") -> None:
        super().__init__()
        check_origin(origin)
        self.origin: Origin = origin

    @abstractmethod
    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        """Set up a field.

        Args:
            scores: `(B, C, h, w)` class scores; the features again for one that does not read scores.
            features: `(B, D, h, w)` the feature map that the classifier read.
            size: `(H, W)` of the image.
            guides: Finer maps, for upsamplers that use them.

        Returns:
            Field of shape `(B, C, H, W)`.
        """

    def offset_layers(self) -> list[nn.Module]:
        """Layers that predict offsets: `optimizer.offset_multiplier` and `optimizer.decay_offsets` apply to all of
        their parameters.
        """
        return []

    @classmethod
    def model_options(cls, options: Mapping[str, Any], stride: int) -> dict[str, Any]:
        """Options, completed by defaults that follow from the model and are saved with it.

        Args:
            options: Options that are given.
            stride: Stride of the coarse scores.

        Raises:
            ValueError: If the options do not fit this stride.
        """
        return dict(options)

    @classmethod
    def start_options(cls, factor: int) -> dict[str, Any]:
        """Defaults for an upsampler that replaces bilinear interpolation by `factor`: if possible, it initially gives
        the same output.
        """
        return {}

    @classmethod
    def basis_channels(cls, options: Mapping[str, Any]) -> int | None:
        """Channels of the label basis that training starts from, given its options; None if it needs no basis."""
        return None

    def load_basis(self, path: str | Path) -> None:
        """Start from a label basis; raises a `ValueError` in upsamplers that need none."""
        raise ValueError(f"basis: expected none for the upsampler {type(self).__name__}, got {path}")

    def shortest_side(self, stride: int, fine: int = 1) -> int:
        """Shortest side, in pixels, from which on images of all sizes are upsampled by the same steps. The coarse grid
        is rounded up: on small images a factor that covers a part of the stride can reach the whole image.

        Args:
            stride: Stride of the coarse grid.
            fine: Stride of the grid that it is upsampled to.
        """
        return fine * (_first_partial(self.scale, stride // fine) - 1) + 1


def _first_partial(scale: int, stride: int) -> int:
    """Shortest length from which on `scale` times its grid of this stride is always shorter; 1 if it never is."""
    if scale >= stride:
        return 1
    return max(side for side in range(1, stride * stride + 1) if scale * -(-side // stride) >= side) + 1


def check_positive(**numbers: int) -> None:
    """Raise a `ValueError` that names the first number below 1."""
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name}: expected a positive whole number, got {value}")


def check_odd(**widths: int) -> None:
    """Raise a `ValueError` that names the first width that is not odd and positive."""
    for name, value in widths.items():
        if value < 1 or value % 2 == 0:
            raise ValueError(f"{name}: expected a positive odd number, got {value}")


def check_choice(name: str, value: str, choices: Any) -> None:
    """Raise a `ValueError` unless the value is one of a `Literal`."""
    if value not in get_args(choices):
        raise ValueError(f"{name}: expected one of {get_args(choices)}, got {value!r}")


def to_image(field: LogitField, size: Size, origin: Origin) -> LogitField:
    """A field over the image: the field itself if it is as large, otherwise bilinear from there on."""
    return field if same_grid(field.shape[2:], size) else BilinearField(field, size, origin)
