"""Changes to the recipes of a table: settings of all rows, and folders of data sets."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from offstride.backbones import Backbone
from offstride.experiments.store import digest
from offstride.train import ModelRecipe, Recipe
from offstride.train.claim import FREE
from offstride.train.reading import read_stages
from offstride.train.recipe_file import EVALUATE, RecipeFile


@dataclass(frozen=True)
class Setting:
    """Changes to all recipes of a table.

    Args:
        values: Settings, such as `data.crop` or `evaluate.flip`, with their values in YAML.
        roots: Folders of data sets by name.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    roots: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "schedule.seed" in self.values:
            raise ValueError("schedule.seed: expected --seeds instead")
        if unknown := [name for name in self._evaluate if name not in EVALUATE]:
            raise ValueError(f"evaluate: unknown {', '.join(unknown)}; known are {', '.join(EVALUATE)}")

    @property
    def differs(self) -> dict[str, str]:
        """The changes that make rows differ from the paper's: all but folders and hardware."""
        return {name: value for name, value in self.values.items() if name not in FREE}

    @property
    def folder(self) -> str:
        """Name of the folder of runs in this setting."""
        return f"changed-{digest(self.differs)}" if self.differs else "published"

    def recipe(self, path: Path, seed: int) -> Recipe:
        """The recipe of a file in this setting.

        Raises:
            ValueError: If there is no such setting, or a value is wrong.
        """
        own = {name: value for name, value in self.values.items() if not name.startswith("evaluate.")}
        recipe = read_stages([path], own | {"schedule.seed": str(seed)})[-1]
        if "model.backbone" in self.values and "model.auxiliary" not in self.values:
            recipe = replace(recipe, model=_with_moved_auxiliary(recipe.model))
        if (root := self.roots.get(recipe.data.name)) is not None:
            recipe = replace(recipe, data=replace(recipe.data, root=root))
        return recipe

    def evaluation(self, file: RecipeFile, recipe: Recipe) -> dict[str, Any]:
        """How a row is scored. Base and windows follow base and crop of the training where these are changed."""
        how: dict[str, Any] = {"split": recipe.data.val, **file.evaluate}
        if "data.base" in self.values and "base" in how:
            how["base"] = recipe.data.base
        if "data.crop" in self.values and how.get("sliding"):
            how["sliding"] = list(recipe.data.crop)
        if "data.val" in self.values or "data.name" in self.values:
            how["split"] = recipe.data.val
        return how | {name: yaml.safe_load(value) for name, value in self._evaluate.items()}

    @property
    def _evaluate(self) -> dict[str, str]:
        start = "evaluate."
        return {name.removeprefix(start): value for name, value in self.values.items() if name.startswith(start)}


def described(changes: Mapping[str, str]) -> str:
    """The changes to the recipes, in one line."""
    return ", ".join(f"{name} {value}" for name, value in changes.items())


def _with_moved_auxiliary(model: ModelRecipe) -> ModelRecipe:
    """The auxiliary head on the last but one feature of another backbone, like `layer3` of the papers' ResNets."""
    if model.auxiliary is None:
        return model
    with torch.device("meta"):
        backbone = Backbone(model.backbone, output_stride=model.output_stride, options=model.backbone_options)
    names = [info.name for info in backbone.features]
    return model if model.auxiliary in names else replace(model, auxiliary=names[-2])
