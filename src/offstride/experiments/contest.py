"""The runs of a comparison: training, scoring, report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from offstride.compare import ImageCounts
from offstride.data import SampleSet
from offstride.experiments.report import Contestant, Curves, Scoring, report
from offstride.experiments.store import Store, digest, is_finished, length, scored_images
from offstride.experiments.variants import Variant
from offstride.files import write_text
from offstride.train import Recipe, read_history
from offstride.train.reading import read_stages

SMOOTHED = 10
"""Number of steps that a point of the loss curve averages."""


@dataclass(frozen=True)
class Contest:
    """Methods that are trained and scored in the same way.

    Args:
        variants: The methods; the first is the baseline.
        seeds: Number of runs of each, with seeds 0, 1, 2 …
        settings: `SECTION.SETTING` and its value in YAML, for all methods.
        recipe: Files of the shared recipe; later files override earlier ones.
        scoring: How runs are scored and reported.
        store: Folder of the runs and the report.
        checkpoint: Model of a run that is scored: `"last"` or `"best"`.
    """

    variants: Sequence[Variant]
    seeds: int
    settings: Mapping[str, str]
    recipe: Sequence[Path]
    scoring: Scoring
    store: Store
    checkpoint: str = "last"

    def check(self) -> None:
        """Raise a `ValueError` for a wrong setting before anything is trained."""
        for variant in self.variants:
            self.stages(variant, 0)

    def run(self) -> None:
        """Train and score the missing runs, seed by seed, so that all methods always have equally many.

        Raises:
            ValueError: As `fit` does, or if the folder holds runs by another recipe.
        """
        for variant in self.variants:
            changes = yaml.safe_dump(variant.changes, sort_keys=False)
            write_text(self.store.folder / "methods" / f"{variant.name}.yaml", changes)
        for seed in range(self.seeds):
            for variant in self.variants:
                title = f"{variant.name}, seed {seed}"
                self.store.train(self.stages(variant, seed), self.directory(variant, seed), title)
                self.counts(variant, seed)

    def report(self) -> dict[str, Any]:
        """Report on the seeds that all methods have been run with, see `report`.

        Raises:
            ValueError: If there is none.
        """
        runs = [(variant, seed) for seed in range(self.seeds) for variant in self.variants]
        missing = [(variant, seed) for variant, seed in runs if not self.counted(variant, seed).exists()]
        seeds = sorted({*range(self.seeds)} - {seed for _, seed in missing})
        named = [f"{variant.name} seed {seed}" for variant, seed in missing]
        if not seeds:
            raise ValueError(f"upsamplers: expected a seed that all have been run with; missing: {', '.join(named)}")
        data = self._shared.data
        return report(
            [self._contestant(variant, seeds) for variant in self.variants],
            self.images,
            self.scoring,
            self.store,
            name=data.root.name if data.name in ("folder", "shards") and data.root else data.name,
            setting=self._facts(),
            seeds=seeds,
            missing=named,
        )

    def to_do(self, variant: Variant, seed: int) -> str:
        """The missing steps of a run, in a word or two."""
        if self.counted(variant, seed).exists():
            return "nothing"
        return "score" if is_finished(self.directory(variant, seed)) else "train, score"

    def directory(self, variant: Variant, seed: int) -> Path:
        """Directory of a run."""
        return self.store.folder / variant.name / f"seed-{seed}"

    def model(self, variant: Variant, seed: int) -> Path:
        """The model file of a run that is scored."""
        return self.directory(variant, seed) / f"{self.checkpoint}.safetensors"

    def stages(self, variant: Variant, seed: int) -> list[Recipe]:
        """The recipes of a run, see `read_stages`."""
        return read_stages(self.recipe, {**self.settings, "schedule.seed": str(seed)}, variant.changes)

    def counted(self, variant: Variant, seed: int) -> Path:
        """File of the counts of a run, existing or not."""
        return self.directory(variant, seed) / f"counts-{self.checkpoint}-{digest(self.scoring.key())}.npz"

    def counts(self, variant: Variant, seed: int) -> ImageCounts:
        """Counts of a finished run, computed if missing."""
        path, model = self.counted(variant, seed), self.model(variant, seed)
        return self.scoring.counts(self.store, path, model, self.images, f"{variant.name}, seed {seed}")

    @cached_property
    def images(self) -> SampleSet:
        """The images that are scored."""
        return scored_images(self._shared, self.scoring.split)

    @cached_property
    def _shared(self) -> Recipe:
        """The last stage of the first method, for settings that all methods share."""
        return self.stages(self.variants[0], 0)[-1]

    def curves(self, variant: Variant, seed: int) -> Curves:
        """Training loss, smoothed, and validation mIoU of a run as (step, value)."""
        directory = self.directory(variant, seed)
        rows = read_history(directory / "train.csv")
        column = "loss_main" if rows and "loss_main" in rows[0] else "loss"
        parts = [rows[start : start + SMOOTHED] for start in range(0, len(rows), SMOOTHED)]
        loss = [(part[-1]["step"], sum(row[column] for row in part) / len(part)) for part in parts]
        miou = [(row["step"], row["miou"]) for row in read_history(directory / "validation.csv")]
        return {"loss": loss, "miou": miou}

    def _contestant(self, variant: Variant, seeds: Sequence[int]) -> Contestant:
        return Contestant(
            variant.name,
            [self.model(variant, seed) for seed in seeds],
            [self.counts(variant, seed) for seed in seeds],
            variant.description,
            variant.paper,
            [self.curves(variant, seed) for seed in seeds],
        )

    def _facts(self) -> dict[str, str]:
        """Settings that all methods share, as text."""
        recipe = self._shared
        crop = recipe.data.crop
        return {
            "Network": recipe.model.reference
            or f"{recipe.model.backbone}, {recipe.model.head}, output stride {recipe.model.output_stride}",
            "Training": f"{length(recipe)} of {recipe.schedule.batch_size} crops, {crop[0]} × {crop[1]}",
            "Optimiser": f"{recipe.optimizer.name}, rate {recipe.optimizer.learning_rate:g}",
            "Start": "pretrained backbone" if recipe.model.pretrained else "random weights",
            "Scored": {"last": "after the last step", "best": "the best on the validation split"}[self.checkpoint],
        }
