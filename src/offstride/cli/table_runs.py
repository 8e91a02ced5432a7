"""What stands behind a row of a table: its training, run or resumed, and what was measured, kept beside it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from offstride.cli.console import pick_device, progress_bar, write_text
from offstride.cli.runs import kept_basis, run_training
from offstride.cli.table_rows import Row
from offstride.cli.table_setting import Setting
from offstride.evaluate import LabelTraining, evaluate, learned_bound
from offstride.inference import InferenceProtocol
from offstride.models import Segmenter
from offstride.train import Recipe, build_split
from offstride.train.claim import claim
from offstride.train.recipe import recipe_to_dict
from offstride.train.recipe_file import load_recipe_file
from offstride.upsamplers import LabelBasis


@dataclass(frozen=True)
class Runs:
    """The runs of recipes in one setting.

    Rows with the same training share a run, and so do trainings that come after the same one.

    Args:
        recipes: Folder of the recipes.
        output: Where runs are kept.
        setting: What is changed about the recipes.
        device: Where models are scored.
        tell: Is told what is done next.
    """

    recipes: Path
    output: Path
    setting: Setting
    device: str = "auto"
    tell: Callable[[str], None] = lambda text: None

    @cached_property
    def folder(self) -> Path:
        """Folder of all runs in this setting."""
        return self.output / self.setting.folder

    def directory(self, path: Path, seed: int) -> Path:
        """Of the run of a recipe file."""
        inside = path.is_relative_to(self.recipes.resolve())
        name = path.relative_to(self.recipes.resolve()) if inside else Path(path.name)
        return self.folder / name.with_suffix("") / f"seed-{seed}"

    def recipe(self, row: Row, seed: int) -> Recipe:
        """The recipe of a row."""
        return self.setting.recipe(_file(row).training, seed)

    def trained(self, path: Path, seed: int) -> Path:
        """Train by a recipe file, and before it by those that it comes after, as far as that is not done.

        Returns:
            Directory of the run.

        Raises:
            ValueError: As `fit` does; or if the directory holds a run by another recipe.
        """
        recipe, directory = self.setting.recipe(path, seed), self.directory(path, seed)
        if (after := load_recipe_file(path).after) is not None:
            start = self.trained(load_recipe_file(after).training, seed) / "last.safetensors"
            recipe = replace(recipe, model=recipe.model.after(start))
        if (directory / "last.safetensors").exists():
            claim(directory, recipe, resume=True)
            return directory
        model = recipe.model
        if model.upsampler == "dupsampling" and model.basis is None and not model.takes_over("upsampler"):
            recipe = replace(recipe, model=replace(model, basis=self.basis(recipe)))
        self.tell(f"training {directory}")
        self._remember()
        run_training([recipe], directory)
        return directory

    def basis(self, recipe: Recipe) -> Path:
        """Basis of the labels that DUpsampling starts from, fitted if it is not there."""
        channels = recipe.model.upsampler_options.get("channels", 64)
        return self._basis(recipe, recipe.model.output_stride, channels)

    def scores(self, row: Row, seed: int) -> dict[str, Any]:
        """Scores of a trained row, which is trained and scored if that is not done."""
        recipe = self.recipe(row, seed)
        how = self.setting.evaluation(_file(row), recipe)
        directory = self.directory(_file(row).training, seed)
        return _kept(_place(directory, how), lambda: {"evaluate": how, **self._evaluated(row, recipe, seed, how)})

    def bound(self, row: Row, seed: int) -> dict[str, Any]:
        """Upper bound of a row's decoder, measured if that is not done."""
        recipe = self.recipe(row, seed)
        how = self._bound_settings(row, recipe)
        directory = self.directory(_file(row).training, seed)
        return _kept(_place(directory, how, "bound"), lambda: {"bound": how, **self._bounded(recipe, seed, dict(how))})

    def is_done(self, row: Row, seed: int) -> bool:
        """Whether a row has been trained and, where it can be, scored."""
        directory = self.directory(_file(row).training, seed)
        if not directory.exists():
            return False
        if row.measure == "server":
            return (directory / "last.safetensors").exists()
        recipe = self.recipe(row, seed)
        if row.measure == "upper-bound":
            return _place(directory, self._bound_settings(row, recipe), "bound").exists()
        return _place(directory, self.setting.evaluation(_file(row), recipe)).exists()

    def _bound_settings(self, row: Row, recipe: Recipe) -> dict[str, Any]:
        """How the upper bound of a row is trained; what is changed about the training is changed here, too."""
        found = dict(self.setting.evaluation(_file(row), recipe)["learned_bound"])
        changed = recipe_to_dict(recipe)
        for section, name in (("schedule", "steps"), ("schedule", "batch_size"), ("data", "crop")):
            if f"{section}.{name}" in self.setting.values:
                found[name] = changed[section][name]
        return found

    def _evaluated(self, row: Row, recipe: Recipe, seed: int, how: dict[str, Any]) -> dict[str, Any]:
        directory = self.trained(_file(row).training, seed)
        self.tell(f"scoring {directory}")
        path = directory / "last.safetensors"
        model = Segmenter.load(path, output_stride=how.get("output_stride")).to(pick_device(self.device))
        window, protocol = how.get("sliding"), InferenceProtocol()
        protocol = InferenceProtocol(
            scales=tuple(how.get("scales", (1.0,))),
            flip=how.get("flip", False),
            window=None if window is None else (window[0], window[1]),
            overlap=how.get("overlap", protocol.overlap),
            base=how.get("base"),
        )
        images = build_split(replace(recipe.data, val=how["split"]), "val")
        with progress_bar("scoring") as progress:
            return evaluate(model, images, protocol=protocol, workers=recipe.data.workers, progress=progress).to_dict()

    def _bounded(self, recipe: Recipe, seed: int, how: dict[str, Any]) -> dict[str, Any]:
        decoder, scale = how.pop("decoder"), how.pop("scale")
        how["crop"] = tuple(how.get("crop", recipe.data.crop))
        training = LabelTraining(workers=recipe.data.workers, **how)
        basis = self._basis(recipe, scale, training.channels) if decoder == "dupsampling" else None
        self.tell(f"upper bound of {decoder}, stride {scale}, seed {seed}")
        sets = build_split(recipe.data, "train"), build_split(recipe.data, "val")
        options = {"seed": seed, "device": pick_device(self.device)}
        with progress_bar("training on labels") as progress:
            start = None if basis is None else LabelBasis.load(basis)
            found = learned_bound(*sets, decoder, scale, training, basis=start, progress=progress, **options)
        return {"miou": found.scores.miou}

    def _basis(self, recipe: Recipe, scale: int, channels: int) -> Path:
        return kept_basis(self.folder / "bases", recipe, scale, channels, self.tell)

    def _remember(self) -> None:
        """Say in the folder what is changed: its name does not."""
        if self.setting.differs:
            write_text(self.folder / "setting.yaml", yaml.safe_dump(self.setting.differs, sort_keys=False))


def _file(row: Row):
    if row.file is None:
        raise ValueError(f"row: expected one with a recipe file, got {row.text!r}")
    return row.file


def _place(directory: Path, how: dict[str, Any], kind: str = "scores") -> Path:
    """File of what was measured in one way; the name tells ways apart, the file says which it was."""
    digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:8]
    return directory / f"{kind}_{digest}.json"


def _kept(place: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file holds, after it was measured and written if it was not there."""
    if not place.exists():
        write_text(place, json.dumps(measure(), indent=2) + "\n")
    return json.loads(place.read_text())
