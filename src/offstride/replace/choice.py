"""The upsampler that takes the place of an interpolation: its options follow from the model, unless they are given."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, NamedTuple

from offstride.features import FeatureInfo
from offstride.models.parts import UPSAMPLERS, build_upsampler
from offstride.ops.grid import Origin
from offstride.replace.anatomy import Anatomy
from offstride.replace.guides import guide_levels
from offstride.upsamplers import Upsampler

LARGEST_SCALE = 8
"""Factor that offsets are predicted for, at most; they are interpolated beyond it."""


class Sizes(NamedTuple):
    """What the example shows: pixels of the image and of the scores' final grid for a coarse one, and the channels of
    images.
    """

    stride: int
    factor: int
    channels: int


def whole_ratio(fine: Sequence[int], coarse: Sequence[int]) -> int:
    """The stride between two grids `(H, W)`: the power of two that leads from one to the other, rounded up or down as
    networks do, or else what is nearest to their ratio.
    """
    pairs = list(zip(fine, coarse, strict=True))
    for stride in (2**i for i in range(8)):
        if all(small in (big // stride, -(-big // stride)) for big, small in pairs):
            return stride
    return max(round(big / small) for big, small in pairs)


def choose(
    upsampler: str | Upsampler, options: Mapping[str, Any], anatomy: Anatomy, sizes: Sizes
) -> tuple[Upsampler, dict[str, Any]]:
    """The upsampler, and all options that it has been given.

    Raises:
        ValueError: If there is none of this name, or it refuses the options.
    """
    if isinstance(upsampler, Upsampler):
        if options:
            raise ValueError(f"options: expected none beside an upsampler that is built, got {', '.join(options)}")
        return upsampler, {}
    if upsampler not in UPSAMPLERS:
        raise ValueError(f"upsampler: expected one of {', '.join(UPSAMPLERS)}, got {upsampler!r}")
    settings = start_options(upsampler, options, anatomy.origin, anatomy.classes, sizes.factor)
    features = FeatureInfo(anatomy.features, sizes.stride, anatomy.classifier)
    levels = guide_levels(sizes.channels, features)
    known = {"in_channels": anatomy.features, "classes": anatomy.classes, "levels": levels}
    return build_upsampler(upsampler, known, settings), settings


def start_options(name: str, options: Mapping[str, Any], origin: Origin, classes: int, factor: int) -> dict[str, Any]:
    """Options of an upsampler with defaults that follow from the model: its pixel convention, and a start as it was.

    Args:
        name: One of `offstride.models.parts.UPSAMPLERS`.
        options: Those that are given.
        origin: Convention of the interpolation that it takes the place of.
        classes: Number of classes, for `groups="classes"`.
        factor: From the coarse scores to the image.
    """
    scale = min(factor, LARGEST_SCALE)
    located = {"init": "zero", "rest": "offsets"}
    defaults: dict[str, Any] = {
        "cascaded_lau": {"scales": (2,) * max(1, scale.bit_length() - 1), **located},
        "dupsampling": {"scale": factor},
        "dysample": {"scale": scale, **located},
        "lau": {"scale": scale, **located},
        "transposed": {"scale": factor},
    }.get(name, {})
    if "origin" in signature(UPSAMPLERS[name]).parameters:
        defaults["origin"] = origin
    settings = {**defaults, **options}
    if settings.get("groups") == "classes":
        settings["groups"] = classes
    if (inner := settings.get("upsampler")) in UPSAMPLERS:
        inner_options = settings.get("upsampler_options", {})
        settings["upsampler_options"] = start_options(inner, inner_options, origin, classes, factor)
    return settings
