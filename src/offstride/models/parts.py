"""The parts of a model, built from its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from offstride.backbones import Backbone
from offstride.heads import ASPPHead, FCNHead
from offstride.models.config import ModelConfig
from offstride.upsamplers import Bilinear, LaU, Upsampler

HEADS: dict[str, type[nn.Module]] = {"aspp": ASPPHead, "fcn": FCNHead}
UPSAMPLERS: dict[str, type[Upsampler]] = {"bilinear": Bilinear, "lau": LaU}


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
        self.head = FCNHead(backbone.features[self.index].channels)
        self.classifier = nn.Conv2d(self.head.out_channels, classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, C, h, w)` scores from all features of the backbone."""
        return self.classifier(self.head([features[self.index]]))


class Parts(NamedTuple):
    """What a `Segmenter` is put together from."""

    backbone: Backbone
    head: nn.Module
    classifier: nn.Module
    upsampler: Upsampler
    auxiliary: dict[str, Auxiliary]
    config: ModelConfig


def build_parts(config: ModelConfig, pretrained: bool | str | Path = False) -> Parts:
    """Build all parts.

    Args:
        config: Configuration with a number of classes.
        pretrained: Backbone weights, see `Backbone`.

    Returns:
        The parts, and the configuration with defaults that later runs must not choose anew filled in: colour mean and
        deviation, and the factor of LaU, which fixes its parameters.

    Raises:
        ValueError: Naming the field that is wrong.
    """
    _check_part("head", HEADS, config.head, config.head_options)
    _check_part("upsampler", UPSAMPLERS, config.upsampler, config.upsampler_options)
    backbone = Backbone(
        config.backbone, output_stride=config.output_stride, pretrained=pretrained, options=config.backbone_options
    )
    config = _completed(config, backbone)
    head = _build("head", HEADS[config.head], backbone.features[-1].channels, _head_options(config))
    classifier = nn.Conv2d(head.out_channels, config.classes, 1)
    auxiliaries = _auxiliaries(config, backbone, config.classes)
    # The upsampler comes last: models that differ only in it start from the same weights under the same seed.
    upsampler = _build("upsampler", UPSAMPLERS[config.upsampler], head.out_channels, config.upsampler_options)
    return Parts(backbone, head, classifier, upsampler, auxiliaries, config)


def _completed(config: ModelConfig, backbone: Backbone) -> ModelConfig:
    options = config.upsampler_options
    if config.upsampler == "lau":
        options = {"scale": max(1, config.output_stride // 2), **options}
    return replace(config, upsampler_options=options, mean=config.mean or backbone.mean, std=config.std or backbone.std)


def _head_options(config: ModelConfig) -> dict[str, Any]:
    """Options with the rates of DeepLabv3, §3.3, which double at output stride 8. They do not become part of the
    configuration: the same weights may run at another stride later.
    """
    doubled = {"rates": (12, 24, 36)} if config.head == "aspp" and config.output_stride == 8 else {}
    return {**doubled, **config.head_options}


def _auxiliaries(config: ModelConfig, backbone: Backbone, classes: int) -> dict[str, Auxiliary]:
    if config.auxiliary is None:
        return {}
    return {config.auxiliary.replace(".", "_"): Auxiliary(backbone, config.auxiliary, classes)}


def _check_part(kind: str, table: Mapping[str, type], name: str, options: Mapping[str, Any]) -> None:
    """Raise a `ValueError` for unknown names, before any network is built or downloaded."""
    if name not in table:
        raise ValueError(f"{kind}: expected one of {', '.join(table)}, got {name!r}")
    known = signature(table[name]).parameters.keys() - {"in_channels"}
    if unknown := sorted(options.keys() - known):
        raise ValueError(f"{kind}_options: {name!r} knows {', '.join(sorted(known))}, got {', '.join(unknown)}")


def _build(kind: str, part: type, in_channels: int, options: Mapping[str, Any]) -> Any:
    given = {"in_channels": in_channels} if "in_channels" in signature(part).parameters else {}
    try:
        return part(**given, **options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{kind}_options: {part.__name__} refuses {dict(options)} ({error})") from error
