"""The models of the papers by name: `create_model("deeplabv3_resnet101_aspp", classes=5)`; `presets.yaml` holds them.

`offstride models` lists them with their costs, `offstride complexity --paper` shows what the tables print beside ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from offstride.models.config import ModelConfig


@dataclass(frozen=True)
class Preset:
    """A published model.

    Attributes:
        config: Fields of `ModelConfig` without `classes`.
        classes: Classes of the data set of the paper.
        paper: Authors and year.
        table: Where the model is.
        row: What the paper calls it.
        size: Height and width of the image that costs are quoted for.
    """

    config: Mapping[str, Any]
    classes: int
    paper: str
    table: str
    row: str
    size: tuple[int, int] = (512, 512)


def read_yaml(name: str) -> dict[str, Any]:
    """A file of this folder."""
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _read_presets() -> dict[str, Preset]:
    papers = read_yaml("presets.yaml")
    del papers["shared"]
    presets = {}
    for paper, models in papers.items():
        for name, config in models.items():
            classes, table, row = (config.pop(key) for key in ("classes", "table", "row"))
            height, width = config.pop("size", (512, 512))
            presets[name] = Preset(config, classes, paper, table, row, (height, width))
    return presets


PRESETS: dict[str, Preset] = _read_presets()


def preset_config(name: str, classes: int | None = None) -> ModelConfig:
    """Configuration of a published model.

    Args:
        name: Key of `PRESETS`.
        classes: Number of classes; those of the paper's data set by default.

    Raises:
        ValueError: If there is no such model, with names like it.
    """
    if name not in PRESETS:
        close = get_close_matches(name, PRESETS, cutoff=0.4)
        hint = f"; close: {', '.join(close)}" if close else ""
        raise ValueError(f"model: expected the name of a published model, got {name!r}{hint}")
    preset = PRESETS[name]
    return ModelConfig.from_dict({**preset.config, "classes": preset.classes if classes is None else classes})
