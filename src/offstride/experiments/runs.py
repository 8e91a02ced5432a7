"""The runs of a table: training and scoring of each row."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from offstride.evaluate import LabelTraining, evaluate, learned_bound
from offstride.experiments.setting import Setting
from offstride.experiments.store import LAST, Store, digest, is_finished, kept, length, scored_images
from offstride.experiments.tables import TableRow
from offstride.files import write_text
from offstride.inference import InferenceProtocol
from offstride.train import Recipe, build_split
from offstride.train.recipe import recipe_to_dict
from offstride.train.recipe_file import load_recipe_file
from offstride.upsamplers import LabelBasis


@dataclass(frozen=True)
class Runs:
    """The runs of recipes in one setting.

    Rows with the same training share a run; so do trainings with the same earlier stage.

    Args:
        recipes: Folder of the recipes.
        setting: Changes to the recipes.
        store: Folder of the runs in this setting alone.
    """

    recipes: Path
    setting: Setting
    store: Store

    def directory(self, path: Path, seed: int) -> Path:
        """Directory of the run of a recipe file."""
        inside = path.is_relative_to(self.recipes.resolve())
        name = path.relative_to(self.recipes.resolve()) if inside else Path(path.name)
        return self.store.folder / name.with_suffix("") / f"seed-{seed}"

    def trained(self, path: Path, seed: int) -> Path:
        """Train by a recipe file, and before by its earlier stages, unless finished.

        Returns:
            Directory of the run.

        Raises:
            ValueError: As `fit` does; or if the directory holds a run by another recipe.
        """
        recipe, directory = self.setting.recipe(path, seed), self.directory(path, seed)
        if (after := load_recipe_file(path).after) is not None:
            start = self.trained(load_recipe_file(after).training, seed) / LAST
            recipe = replace(recipe, model=recipe.model.after(start))
        if self.setting.differs:  # the folder's name is only a digest
            write_text(self.store.folder / "setting.yaml", yaml.safe_dump(self.setting.differs, sort_keys=False))
        self.store.train([recipe], directory, str(directory))
        return directory

    def measured(self, row: TableRow, seed: int) -> dict[str, Any]:
        """Scores of a row's model, or the upper bound of its decoder; trained and measured if missing."""
        recipe = self.setting.recipe(row.training, seed)
        how = self._how(row, recipe)

        def measure(path: Path) -> None:
            if row.measure == "upper-bound":
                figures = {"bound": how, "miou": self._bound(recipe, seed, **how)}
            else:
                figures = {"evaluate": how, **self._scores(self.trained(row.training, seed), recipe, how)}
            write_text(path, json.dumps(figures, indent=2) + "\n")

        return json.loads(kept(self._place(row, seed, how), measure).read_text())

    def is_done(self, row: TableRow, seed: int) -> bool:
        """Whether a row has been trained and, unless a server scores it, scored."""
        directory = self.directory(row.training, seed)
        if row.measure == "server" or not directory.exists():
            return is_finished(directory)
        return self._place(row, seed, self._how(row, self.setting.recipe(row.training, seed))).exists()

    def to_do(self, row: TableRow, seed: int) -> str:
        """The missing steps of a row, in a few words."""
        if row.measure in ("speed", "complexity"):
            return {"speed": "time the model", "complexity": "count"}[row.measure]
        if self.is_done(row, seed):
            return "nothing"
        if is_finished(self.directory(row.training, seed)):
            return "score"
        recipe = self.setting.recipe(row.training, seed)
        what = f"train {length(recipe)} on {recipe.data.name} {recipe.data.train}"
        return {"server": what, "upper-bound": "train on labels, score"}.get(row.measure, f"{what}, score")

    def _place(self, row: TableRow, seed: int, how: dict[str, Any]) -> Path:
        """File of the results of one protocol; its name holds a digest of the protocol, its content the protocol."""
        kind = "bound" if row.measure == "upper-bound" else "scores"
        return self.directory(row.training, seed) / f"{kind}_{digest(how)}.json"

    def _how(self, row: TableRow, recipe: Recipe) -> dict[str, Any]:
        """How a row is scored, or how the upper bound of its decoder is trained, with the changes of the setting."""
        how = {} if row.file is None else self.setting.evaluation(row.file, recipe)
        if row.measure != "upper-bound":
            return how
        how = dict(how["learned_bound"])
        changed = recipe_to_dict(recipe)
        for section, name in (("schedule", "steps"), ("schedule", "batch_size"), ("data", "crop")):
            if f"{section}.{name}" in self.setting.values:
                how[name] = changed[section][name]
        return how

    def _scores(self, directory: Path, recipe: Recipe, how: dict[str, Any]) -> dict[str, Any]:
        self.store.announce(f"scoring {directory}")
        model = self.store.load(directory / LAST, how.get("output_stride"))
        window = how.get("sliding")
        protocol = InferenceProtocol(
            scales=tuple(how.get("scales", (1.0,))),
            window=None if window is None else (window[0], window[1]),
            **{name: how[name] for name in ("flip", "overlap", "base") if name in how},
        )
        images = scored_images(recipe, how["split"])
        with self.store.progress("scoring") as progress:
            return evaluate(model, images, protocol=protocol, workers=recipe.data.workers, progress=progress).to_dict()

    def _bound(self, recipe: Recipe, seed: int, decoder: Any, scale: int, **options: Any) -> float:
        """Upper bound of a decoder: mIoU in 0 … 1."""
        options["crop"] = tuple(options.get("crop", recipe.data.crop))
        training = LabelTraining(workers=recipe.data.workers, **options)
        basis = None
        if decoder == "dupsampling":
            basis = LabelBasis.load(self.store.basis(recipe, scale, training.channels))
        self.store.announce(f"upper bound of {decoder}, stride {scale}, seed {seed}")
        train_set, val_set = (build_split(recipe.data, role) for role in ("train", "val"))
        with self.store.progress("training on labels") as progress:
            where = {"device": self.store.device, "progress": progress}
            bound = learned_bound(train_set, val_set, decoder, scale, training, seed=seed, basis=basis, **where)
        return bound.scores.miou
