"""Feature networks by name: those of timm and ours, all of one kind.

A feature network returns a list of maps; its `feature_info` describes them, its `pretrained_cfg` the images it expects.
"""

from collections.abc import Callable
from contextlib import nullcontext
from difflib import get_close_matches
from typing import Any

import timm
import torch

from offstride.backbones.dilation import dilate_densenet, dilate_xception, is_xception
from offstride.backbones.resnetv2_gluon import resnetv2_50_gluon
from offstride.backbones.wider_resnet import wider_resnet38
from offstride.downloads import first_line, hub_or_cache

_OURS: dict[str, Callable[..., Any]] = {"resnetv2_50_gluon": resnetv2_50_gluon, "wider_resnet38": wider_resnet38}
_FULL_MODELS = {"resnetv2_50_gluon": ("resnetv2_50",)}  # of our networks, where their weights come from a larger model


def create_network(name: str, output_stride: int, pretrained: bool, options: dict[str, Any]) -> Any:
    """Feature network, at the stride if it can reach it.

    Args:
        name: timm model or one of ours.
        output_stride: Stride of the last feature.
        pretrained: Whether timm downloads weights.
        options: Further arguments of the network.

    Raises:
        ValueError: If the name is unknown, an option is refused or weights are not available.
    """
    _check_name(name)
    if name in _OURS:
        return _create_ours(name, output_stride, pretrained, options)
    xception = is_xception(name)
    with hub_or_cache() if pretrained else nullcontext():
        network = _create_timm(name, 32 if xception else output_stride, pretrained, options)
    (dilate_xception if xception else dilate_densenet)(network, output_stride)
    return network


def full_names(name: str, options: dict[str, Any]) -> set[str]:
    """Names of all tensors of the full model, including those that the feature network lacks."""
    if name in _OURS:
        with torch.device("meta"):
            return {key for full in _FULL_MODELS.get(name, ()) for key in timm.create_model(full).state_dict()}
    options = {key: value for key, value in options.items() if key != "out_indices"}
    return set(timm.create_model(name, **options).state_dict())


def _check_name(name: str) -> None:
    base = name.partition(".")[0]
    known = [base, *timm.list_pretrained(f"{base}.*")] if timm.is_model(base) else [*timm.list_models(), *_OURS]
    if name not in known:
        close = ", ".join(get_close_matches(name, known, cutoff=0.4))
        raise ValueError(f"backbone: expected a timm model, got {name!r}" + (f"; close: {close}" if close else ""))


def _create_ours(name: str, output_stride: int, pretrained: bool, options: dict[str, Any]) -> Any:
    if pretrained:
        raise ValueError(f"pretrained: no weights of {name!r} can be downloaded; give the path of a safetensors file")
    try:
        return _OURS[name](**{"output_stride": output_stride, **options})
    except (TypeError, AssertionError) as error:
        raise ValueError(f"options: {name!r} refuses {options} ({error})") from error


def _create_timm(name: str, output_stride: int, pretrained: bool, options: dict[str, Any]) -> Any:
    """timm's feature network, with the stride and free image sizes where the architecture knows these arguments."""
    wishes: dict[str, Any] = {} if output_stride == 32 else {"output_stride": output_stride}
    published = timm.get_pretrained_cfg(name)
    if published and published.fixed_input_size:
        wishes |= {"dynamic_img_size": True, "strict_img_size": False}
    wishes = {key: value for key, value in wishes.items() if key not in options}
    while True:
        try:
            return timm.create_model(name, pretrained=pretrained, features_only=True, **wishes, **options)
        except (TypeError, AssertionError) as error:
            refused = next((key for key in wishes if f"'{key}'" in str(error)), None)
            if refused is None and isinstance(error, AssertionError):
                refused = next(iter(wishes), None)  # an assertion about the stride names no argument
            if refused is None:
                raise ValueError(f"options: {name!r} refuses {options} ({error})") from error
            del wishes[refused]
        except Exception as error:
            if not pretrained:
                raise
            raise ValueError(
                f"pretrained: timm could not provide weights of {name!r}: they cannot be downloaded (no network?); "
                f"give a local safetensors file, or False for random weights ({first_line(error)})"
            ) from error
