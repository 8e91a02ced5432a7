"""Published recipes made small enough for a test.

What is replaced: ResNets by timm's `test_resnet`, or, where a recipe names units of them, by ones with few narrow
units; DenseNets, Xceptions and Wider-ResNets by ones with few or narrow layers; all widths of heads, fusions and
offset branches by 8 channels; crops, base sizes, batches and lengths by small ones; pre-trained weights by random
ones. What is not: data sets with their splits and augmentation, heads, fusions, upsamplers, losses, optimizers,
frozen and accumulated parts, and the order of trainings.
"""

import re
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

from offstride.models.parts import HEADS
from offstride.train import DataRecipe, ModelRecipe, Recipe, ScheduleRecipe


def tiny(recipe: Recipe, root: Path | None) -> Recipe:
    """Two steps of a recipe on a tiny data set; a model of another library stays."""
    model = recipe.model if recipe.model.reference else _model(recipe.model)
    return replace(recipe, data=_data(recipe.data, root), model=model, schedule=_schedule(recipe.schedule))


def skeleton(value: Any) -> Any:
    """A part of a recipe file without its numbers, the depth of its backbone and the names of taps: parts with the same
    one differ in nothing else.
    """
    if isinstance(value, dict):
        shown = {key: "some" if key in _NAMED else skeleton(item) for key, item in value.items()}
        return {key: item for key, item in shown.items() if key not in _REPLACED}
    if isinstance(value, list):
        return [] if all(isinstance(item, int | float) for item in value) else [skeleton(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"^(resnet|xception|densenet)\d+s?$", r"\1", value)
    return 0 if isinstance(value, int | float) and not isinstance(value, bool) else value


_NAMED = ("taps", "low_level")
_REPLACED = ("batch_size", "steps", "epochs", "devices", "nodes")


def _data(data: DataRecipe, root: Path | None) -> DataRecipe:
    return replace(data, root=root, crop=(65, 65), base=data.base and 64, workers=0)


def _schedule(schedule: ScheduleRecipe) -> ScheduleRecipe:
    small = {"steps": 2, "epochs": None, "batch_size": 2 * schedule.accumulate, "validate_every": 2}
    return replace(schedule, **small, accelerator="cpu", devices=1, nodes=1)


def _model(model: ModelRecipe) -> ModelRecipe:
    backbone, options = _backbone(model)
    head = dict(model.head_options)
    if "channels" in signature(HEADS[model.head]).parameters:
        head["channels"] = 8
    if "inner" in signature(HEADS[model.head]).parameters:
        head["inner"] = 8
    upsampler = dict(model.upsampler_options)
    for name, options_of in (("lau", upsampler), (head.get("upsampler"), head.get("upsampler_options", {}))):
        if name == "lau" and "hidden" in options_of:
            options_of["hidden"] = 8
    return replace(
        model,
        backbone=backbone,
        backbone_options=options,
        pretrained=False,
        head_options=head,
        upsampler_options=upsampler,
        fusion_options={**model.fusion_options, "width": 8} if model.fusion else {},
    )


def _backbone(model: ModelRecipe) -> tuple[str, dict[str, Any]]:
    name = model.backbone
    if name.startswith("xception"):
        return name, {"block_cfg": _xception(5 if name == "xception71" else 3)}
    if name.startswith("densenet"):
        return name, {"block_config": [2, 2, 2, 2], "growth_rate": 4}
    if name == "wider_resnet38":
        return name, {"width": 0.05}
    if name.startswith("resnet") and (model.taps or model.multi_grid or model.cascade):
        return name, {"layers": [2, 2, 6, 3] if model.taps else [1, 1, 1, 3], "base_width": 4}
    return ("test_resnet", {}) if re.fullmatch(r"resnet\d+s?", name) else (name, model.backbone_options)


def _xception(entry: int) -> list[dict[str, Any]]:
    """Blocks of Xception-65 (three of entry) or -71 (five), 8 channels wide after the stem."""
    strides = {3: [2, 2, 2], 5: [2, 1, 2, 1, 2]}[entry] + [1] * 16 + [2, 1]
    blocks = [{"in_chs": 8, "out_chs": 8, "stride": stride} for stride in strides]
    blocks[0]["in_chs"] = 64
    blocks[-1] |= {"no_skip": True, "start_with_relu": False}
    return blocks
