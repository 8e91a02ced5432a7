"""The parts of a model, built from its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from offstride.backbones import Backbone
from offstride.features import guide_levels
from offstride.fusion import FUSIONS
from offstride.heads import HEADS, FCNHead, Head
from offstride.models.config import ModelConfig
from offstride.models.fusion_head import FusionHead
from offstride.upsamplers import UPSAMPLERS, Upsampler

_KNOWN = {"features", "in_channels", "classes", "levels"}  # arguments of parts that follow from the rest of the model


class Auxiliary(nn.Module):
    """FCN head and classifier on one of the backbone's features, for an additional loss.

    Raises:
        ValueError: If the backbone has no such feature.
    """

    def __init__(self, backbone: Backbone, feature: str, classes: int) -> None:
        super().__init__()
        names = [info.name for info in backbone.features]
        if feature not in names:
            raise ValueError(f"auxiliary: expected one of the features {', '.join(names)}, got {feature!r}")
        self.index = names.index(feature)
        self.head = FCNHead([backbone.features[self.index]])
        self.classifier = nn.Conv2d(self.head.out_channels, classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, C, h, w)` scores from all features of the backbone."""
        return self.classifier(self.head([features[self.index]]))


def build_upsampler(name: str, known: Mapping[str, Any], options: Mapping[str, Any]) -> Upsampler:
    """An upsampler by its name.

    Args:
        name: One of `offstride.upsamplers.UPSAMPLERS`.
        known: `in_channels`, `classes` and `levels`; those that are arguments of the upsampler are passed.
        options: All other arguments.

    Raises:
        ValueError: If there is no upsampler of this name, or it refuses the options.
    """
    _check_part("upsampler", UPSAMPLERS, name, options)
    options = dict(options)
    if inner := options.pop("upsampler", None):
        options["upsample"] = build_upsampler(inner, known, options.pop("upsampler_options", {}))
    return _build("upsampler", UPSAMPLERS[name], known, options)


class ModelParts(NamedTuple):
    """The parts of a `Segmenter`, and its completed configuration."""

    backbone: Backbone
    head: Head
    classifier: nn.Module
    upsampler: Upsampler
    auxiliary: dict[str, Auxiliary]
    config: ModelConfig


def build_parts(config: ModelConfig, pretrained: bool | str | Path = False) -> ModelParts:
    """Build all parts.

    Args:
        config: Configuration with a number of classes.
        pretrained: Backbone weights, see `Backbone`.

    Returns:
        The parts, and the configuration with the defaults that later runs must keep: colour mean and deviation, and
        options that fix the parameters of the upsampler, see `Upsampler.model_options`.

    Raises:
        ValueError: Naming the field that is wrong.
    """
    _check_names(config)
    backbone = Backbone(
        config.backbone,
        output_stride=config.output_stride,
        pretrained=pretrained,
        options=config.backbone_options,
        multi_grid=config.multi_grid,
        cascade=config.cascade,
        taps=config.taps,
    )
    head = _build_head(config, backbone)
    config = _completed(config, backbone, head)
    levels = guide_levels(backbone.in_channels, backbone.features)
    known = {"in_channels": head.out_channels, "classes": config.classes, "levels": levels}
    upsampling = UPSAMPLERS[config.upsampler]
    classifier = nn.Conv2d(head.out_channels, config.classes, 1) if upsampling.reads_scores else nn.Identity()
    auxiliaries = {}
    if config.auxiliary is not None:
        auxiliary = Auxiliary(backbone, config.auxiliary, config.classes)
        auxiliaries[config.auxiliary.replace(".", "_")] = auxiliary
    # The upsampler comes last: models that differ only in it start from the same weights under the same seed.
    upsampler = build_upsampler(config.upsampler, known, config.upsampler_options)
    return ModelParts(backbone, head, classifier, upsampler, auxiliaries, config)


def _build_head(config: ModelConfig, backbone: Backbone) -> Head:
    known = {"features": backbone.features, "classes": config.classes}
    # Rates that follow from the output stride stay out of the configuration: weights may run at another stride later.
    doubled = {"rates": (12, 24, 36)} if HEADS[config.head].atrous and config.output_stride == 8 else {}
    options = {**doubled, **config.head_options}
    if inner := options.pop("upsampler", None):
        channels = options.get("channels", 256)
        entering = {"in_channels": channels, "classes": channels}
        options["upsample"] = _build("head", UPSAMPLERS[inner], entering, options.pop("upsampler_options", {}))
    head = _build("head", HEADS[config.head], known, options)
    if config.fusion is None:
        return head
    known = {"features": backbone.features, "context": head, "kind": config.fusion}
    return _build("fusion", FusionHead, known, config.fusion_options)


def with_groups(options: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """Upsampler options in which `groups="classes"` is replaced by the number of classes."""
    return {**options, "groups": classes} if options.get("groups") == "classes" else dict(options)


def _completed(config: ModelConfig, backbone: Backbone, head: Head) -> ModelConfig:
    options = UPSAMPLERS[config.upsampler].model_options(config.upsampler_options, head.out_stride)
    options = with_groups(options, config.classes)
    return replace(config, upsampler_options=options, mean=config.mean or backbone.mean, std=config.std or backbone.std)


def _check_names(config: ModelConfig) -> None:
    """Raise a `ValueError` for unknown names, before any network is built or downloaded."""
    inner = config.head_options.get("upsampler")
    _check_part("head", HEADS, config.head, config.head_options)
    _check_part("upsampler", UPSAMPLERS, config.upsampler, config.upsampler_options)
    if inner is not None:
        _check_part("head_options upsampler", UPSAMPLERS, inner, config.head_options.get("upsampler_options", {}))
        if not UPSAMPLERS[inner].reads_scores:
            raise ValueError(f"head_options upsampler: expected one that upsamples any map, got {inner!r}")
    if config.fusion is not None:
        _check_part("fusion", dict.fromkeys(FUSIONS, FusionHead), config.fusion, {})


def _check_part(kind: str, table: Mapping[str, type], name: str, options: Mapping[str, Any]) -> None:
    if name not in table:
        raise ValueError(f"{kind}: expected one of {', '.join(table)}, got {name!r}")
    known = set(signature(table[name]).parameters) - _KNOWN
    if "upsample" in known:  # a head with an upsampler inside, which a configuration names
        known = known - {"upsample"} | {"upsampler", "upsampler_options"}
    if unknown := sorted(options.keys() - known):
        raise ValueError(f"{kind}_options: {name!r} knows {', '.join(sorted(known))}, got {', '.join(unknown)}")


def _build(kind: str, part: type, known: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """A part from its options, and from the known values that are among its arguments."""
    given = {name: value for name, value in known.items() if name in signature(part).parameters}
    try:
        return part(**given, **options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{kind}_options: {part.__name__} refuses {dict(options)} ({error})") from error
