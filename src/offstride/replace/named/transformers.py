"""Models of transformers for semantic segmentation, by the name or the folder that `from_pretrained` takes.

Architecture: the `class` of the model, and its `config` as JSON.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES
from transformers.utils import logging

from offstride.data.catalog import ClassSet
from offstride.downloads import first_line, hub_or_cache
from offstride.replace.named.opened import OpenedModel, in_unit_range, named_classes


def load(name: str) -> OpenedModel:
    """A model with its weights, the names of its classes and the normalisation of its image processor.

    Raises:
        ValueError: If there is no such model, or weights are missing.
    """
    with _quiet(), hub_or_cache():
        model = _model(name)
        config: Any = model.config
        mean, std, reversed_, unknown = _normalisation(name)
    size = getattr(config, "image_size", None)
    own = [side for side in (size if isinstance(size, list | tuple) else [size]) if isinstance(side, int)][:1]
    architecture = {"class": type(model).__name__, "config": _plain(config)}
    channels = getattr(config, "num_channels", None) or _first_channels(model)
    options = {"mean": mean, "std": std, "unknown": unknown, "reversed": reversed_, "sides": (*own, 256, 512)}
    return OpenedModel(model.eval(), architecture, channels, _classes(config), **options)


def rebuild(architecture: Mapping[str, Any]) -> nn.Module:
    """The network without weights.

    Raises:
        ValueError: If transformers has no such model for semantic segmentation, or refuses the configuration.
    """
    name = str(architecture.get("class"))
    if name not in MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES.values():
        raise ValueError(f"transformers: expected a model for semantic segmentation, got {name!r}")
    try:
        kind: Any = getattr(transformers, name)
        config = kind.config_class.from_dict(dict(architecture.get("config", {})))
        parts: list[Any] = [config, getattr(config, "backbone_config", None)]
        for part in (part for part in parts if getattr(part, "use_pretrained_backbone", False)):
            part.use_pretrained_backbone = False
        return kind(config)
    except Exception as error:  # of its many configurations
        raise ValueError(f"transformers: cannot build {name} from its configuration ({first_line(error)})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars and reports."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _model(name: str) -> nn.Module:
    options: dict[str, Any] = {"trust_remote_code": False, "dtype": torch.float32, "output_loading_info": True}
    try:
        model, report = transformers.AutoModelForSemanticSegmentation.from_pretrained(name, **options)
    except Exception as error:  # of the network, of files, of configurations
        if not Path(name).exists() and isinstance(error, OSError):
            raise ValueError(
                f"transformers:{name}: cannot be downloaded (no network?); give a local folder: transformers:FOLDER "
                f"({first_line(error)})"
            ) from error
        raise ValueError(f"transformers:{name}: cannot be opened ({first_line(error)})") from error
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"transformers:{name}: the weights do not fit, {len(missing)} are missing ({missing[0]}, …)")
    for tensor in (*model.parameters(), *model.buffers()):  # the mapped file is not aligned, which rounds otherwise
        tensor.data = tensor.data.clone()
    return model


def _normalisation(name: str) -> tuple[Any, Any, bool, str]:
    """Mean and deviation of colours in 0 … 1, whether their order is reversed, and why they are not known."""
    try:
        processor: Any = transformers.AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        return None, None, False, f"it has no preprocessor_config.json that can be read ({first_line(error)})"
    normalised = getattr(processor, "do_normalize", False) and getattr(processor, "image_mean", None) is not None
    mean, std = (processor.image_mean, processor.image_std) if normalised else ((0.0,) * 3, (1.0,) * 3)
    factor = 255 * (processor.rescale_factor if getattr(processor, "do_rescale", True) else 1)
    mean, std = in_unit_range(mean, std, factor)
    reversed_ = bool(getattr(processor, "do_flip_channel_order", False))
    return (mean[::-1], std[::-1], True, "") if reversed_ else (mean, std, False, "")


def _classes(config: Any) -> ClassSet | None:
    labels = [config.id2label.get(index) for index in range(config.num_labels)]
    if None in labels or labels == [f"LABEL_{index}" for index in range(config.num_labels)]:
        return None
    return named_classes(labels)


def _plain(config: Any) -> dict[str, Any]:
    """A configuration as JSON, without the place it was read from."""
    values = json.loads(config.to_json_string(use_diff=False))
    for part in (values, values.get("backbone_config") or {}):
        part.pop("_name_or_path", None)
    return values


def _first_channels(model: nn.Module) -> int:
    return next((module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)), 3)
