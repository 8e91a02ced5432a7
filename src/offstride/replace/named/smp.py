"""Models of segmentation_models_pytorch, by the name or the folder that its `from_pretrained` takes.

Architecture: the `class` of the model, and its `config`: the arguments it was built with.
"""

import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.base import SegmentationModel
from torch import nn

from offstride.downloads import first_line, hub_or_cache
from offstride.replace.named.opened import OpenedModel, in_unit_range


def load(name: str) -> OpenedModel:
    """A model with its weights and the normalisation of its encoder; it has no names of classes.

    Raises:
        ValueError: If there is no such model, or the weights do not fit.
    """
    with hub_or_cache(), redirect_stdout(StringIO()):  # it prints where weights come from
        try:
            model = smp.from_pretrained(name, encoder_weights=None)
        except Exception as error:  # of the network, of files, of arguments
            if not Path(name).exists() and isinstance(error, OSError | ValueError):
                raise ValueError(
                    f"smp:{name}: cannot be downloaded (no network?); give a local folder: smp:FOLDER "
                    f"({first_line(error)})"
                ) from error
            raise ValueError(f"smp:{name}: cannot be opened ({' '.join(str(error).split())[:300]})") from error
        config: dict[str, Any] = {**model.config, "encoder_weights": None}
        mean, std, unknown = _normalisation(str(config.get("encoder_name")))
    plain = json.loads(json.dumps({key: value for key, value in config.items() if not key.startswith("_")}))
    architecture = {"class": type(model).__name__, "config": plain}
    multiple = int(model.encoder.output_stride) if model.requires_divisible_input_shape else 1
    options = {"mean": mean, "std": std, "unknown": unknown, "multiple": multiple, "sides": (*_own_side(model), 256)}
    return OpenedModel(model.eval(), architecture, int(config.get("in_channels", 3)), **options)


def rebuild(architecture: Mapping[str, Any]) -> nn.Module:
    """The network without weights.

    Raises:
        ValueError: If the library has no such model, or refuses the arguments.
    """
    name, kind = architecture.get("class"), getattr(smp, str(architecture.get("class")), None)
    if not (isinstance(kind, type) and issubclass(kind, SegmentationModel)):
        raise ValueError(f"smp: expected a model of segmentation_models_pytorch, got {name!r}")
    try:
        return kind(**{**architecture.get("config", {}), "encoder_weights": None})
    except Exception as error:
        raise ValueError(f"smp: cannot build {name} from its arguments ({first_line(error)})") from error


def _normalisation(encoder: str) -> tuple[Any, Any, str]:
    """Mean and deviation of colours in 0 … 1, and why they are not known."""
    try:
        found = smp.encoders.get_preprocessing_params(encoder)
    except Exception as error:  # no such weights, or its description cannot be downloaded
        return None, None, f"those of its encoder {encoder} are not there ({first_line(error)})"
    if found["input_space"] != "RGB":
        return None, None, f"its encoder {encoder} reads {found['input_space']}"
    return *in_unit_range(found["mean"], found["std"], max(found["input_range"])), ""


def _own_side(model: Any) -> list[int]:
    """The side of the images that a vision transformer was made for."""
    patches = getattr(getattr(model.encoder, "model", None), "patch_embed", None)
    size = getattr(patches, "img_size", None)
    return [int(size[0])] if isinstance(size, list | tuple) else []
