"""Models from plain values."""

from pathlib import Path
from typing import Any

from offstride.data.catalog import ClassSet
from offstride.models.config import ModelConfig
from offstride.models.parts import build_parts
from offstride.models.presets import preset_config
from offstride.models.segmenter import Segmenter


def create_model(
    config: ModelConfig | str | None = None,
    *,
    classes: int | ClassSet | None = None,
    pretrained: bool | str | Path = False,
    **fields: Any,
) -> Segmenter:
    """Build a model.

    Example:
        `create_model(backbone="resnet50", head="aspp", upsampler="lau", classes=21)`,
        `create_model("encnet_resnet50_os8_lau", classes=5)`

    Args:
        config: Configuration of the model, or name of a published one (`offstride models` lists them). Keywords replace
            its fields, or give all of them.
        classes: Number of classes, or the classes themselves, whose names are then saved with the model.
        pretrained: Weights of the backbone: path of a safetensors file, `True` for those that timm downloads, `False`
            for none.
        **fields: Fields of `ModelConfig`.

    Returns:
        The model, in training mode. Its `mean` and `std` are those that images must be normalised by.

    Raises:
        ValueError: Naming the field that is unknown, wrong or missing.
    """
    named = classes if isinstance(classes, ClassSet) else None
    count = len(classes) if isinstance(classes, ClassSet) else classes
    if isinstance(config, str):
        config = preset_config(config, count)
    if config and count is not None and config.classes != count:
        raise ValueError(f"classes: expected {config.classes} as in the configuration, got {count}")
    if count is not None:
        fields["classes"] = count
    config = ModelConfig.from_dict({**(config.to_dict() if config else {}), **fields})
    return Segmenter(*build_parts(config, pretrained), named)
