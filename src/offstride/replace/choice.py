"""The upsampler that replaces an interpolation: options that are not given follow from the model."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, NamedTuple

from offstride.features import FeatureInfo, guide_levels
from offstride.models.parts import build_upsampler, with_groups
from offstride.ops.grid import Origin
from offstride.replace.anatomy import Anatomy
from offstride.upsamplers import UPSAMPLERS, Upsampler


class Sizes(NamedTuple):
    """Measured on the example: stride of the coarse scores in pixels of the image, factor from them to the model's
    output, and channels of images.
    """

    stride: int
    factor: int
    channels: int


def whole_ratio(fine: Sequence[int], coarse: Sequence[int]) -> int:
    """The stride between two grids `(H, W)`: the power of two that leads from one to the other, rounded up or down as
    networks do, or else the nearest whole ratio.
    """
    pairs = list(zip(fine, coarse, strict=True))
    for stride in (2**i for i in range(8)):
        if all(small in (big // stride, -(-big // stride)) for big, small in pairs):
            return stride
    return max(round(big / small) for big, small in pairs)


def choose(
    upsampler: str | Upsampler, options: Mapping[str, Any], anatomy: Anatomy, sizes: Sizes
) -> tuple[Upsampler, dict[str, Any]]:
    """The upsampler and all of its options.

    Raises:
        ValueError: If there is no upsampler of this name, or it refuses the options.
    """
    if isinstance(upsampler, Upsampler):
        if options:
            raise ValueError(f"options: expected none beside an upsampler that is built, got {', '.join(options)}")
        return upsampler, {}
    if upsampler not in UPSAMPLERS:
        raise ValueError(f"upsampler: expected one of {', '.join(UPSAMPLERS)}, got {upsampler!r}")
    settings = start_options(upsampler, options, anatomy.interpolation.origin, anatomy.classes, sizes.factor)
    features = FeatureInfo(anatomy.features, sizes.stride, anatomy.classifier)
    levels = guide_levels(sizes.channels, [features])
    known = {"in_channels": anatomy.features, "classes": anatomy.classes, "levels": levels}
    return build_upsampler(upsampler, known, settings), settings


def start_options(name: str, options: Mapping[str, Any], origin: Origin, classes: int, factor: int) -> dict[str, Any]:
    """Options of an upsampler, completed by the pixel convention of the model and by `Upsampler.start_options`.

    Args:
        name: One of `offstride.upsamplers.UPSAMPLERS`.
        options: Options that are given.
        origin: Pixel convention of the interpolation that is replaced.
        classes: Number of classes, for `groups="classes"`.
        factor: From the coarse scores to the image.
    """
    kind = UPSAMPLERS[name]
    defaults = kind.start_options(factor)
    if "origin" in signature(kind).parameters:
        defaults["origin"] = origin
    settings = with_groups({**defaults, **options}, classes)
    if (inner := settings.get("upsampler")) in UPSAMPLERS:
        inner_options = settings.get("upsampler_options", {})
        settings["upsampler_options"] = start_options(inner, inner_options, origin, classes, factor)
    return settings
