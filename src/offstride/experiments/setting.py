"""What is changed about the recipes of a table: settings of all of its rows, and where the data lie."""

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
        values: Settings, such as `data.crop`, with their values in YAML; `evaluate.` settings are among them.
        roots: Folders of data sets by name.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    roots: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "schedule.seed" in self.values:
            raise ValueError("schedule.seed: expected --seeds instead")
        unknown = [name for name in self._named("evaluate") if name not in EVALUATE]
        if unknown:
            raise ValueError(f"evaluate: unknown {', '.join(unknown)}; known are {', '.join(EVALUATE)}")

    @property
    def differs(self) -> dict[str, str]:
        """What makes the rows something else than the paper's: all changes but where and on what they run."""
        return {name: value for name, value in self.values.items() if name not in FREE}

    @property
    def folder(self) -> str:
        """Name of the folder of runs in this setting."""
        if not self.differs:
            return "published"
        return f"changed-{digest(self.differs)}"

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
        changed = self._named("evaluate")
        return how | {name: yaml.safe_load(value) for name, value in changed.items()}

    def _named(self, section: str) -> dict[str, str]:
        start = f"{section}."
        return {name.removeprefix(start): value for name, value in self.values.items() if name.startswith(start)}


def described(changes: Mapping[str, str]) -> str:
    """What is changed about the recipes, in one line."""
    return ", ".join(f"{name} {value}" for name, value in changes.items())


def _with_moved_auxiliary(model: ModelRecipe) -> ModelRecipe:
    """The auxiliary head on the last feature but one, which `layer3` of the papers' ResNets is, of another backbone."""
    if model.auxiliary is None:
        return model
    with torch.device("meta"):
        backbone = Backbone(model.backbone, output_stride=model.output_stride, options=model.backbone_options)
    names = [info.name for info in backbone.features]
    return model if model.auxiliary in names else replace(model, auxiliary=names[-2])
