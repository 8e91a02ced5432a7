"""The runs of a comparison: trained or resumed, and counted, each in a directory of its own."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from offstride.cli.compare_report import Asked, Contestant, report
from offstride.cli.console import progress_bar, write_text
from offstride.cli.runs import kept_basis, run_training
from offstride.cli.variants import Variant
from offstride.compare import ImageCounts, count_images
from offstride.data import SampleSet
from offstride.train import Recipe, build_split, read_history
from offstride.train.claim import claim
from offstride.train.reading import read_stages

SMOOTHED = 10
"""Steps that a point of the curve of the loss is the mean of."""


@dataclass(frozen=True)
class Contest:
    """Methods that are trained and scored alike.

    Args:
        variants: The methods; the others are compared with the first.
        seeds: Number of runs of each, with seeds 0, 1, 2 …
        settings: `SECTION.SETTING` and its value in YAML, for all methods.
        recipe: Files of the recipe that all share, laid over each other.
        asked: How runs are scored and where they and the report are kept.
        checkpoint: Model of a run that is scored: `"last"` or `"best"`.
        tell: Is told what is done next.
    """

    variants: Sequence[Variant]
    seeds: int
    settings: Mapping[str, str]
    recipe: Sequence[Path]
    asked: Asked
    checkpoint: str = "last"
    tell: Callable[[str], None] = lambda text: None

    def check(self) -> None:
        """Raise a `ValueError` for a setting that is wrong, before hours of training, not after them."""
        for variant in self.variants:
            self.stages(variant, 0)

    def run(self) -> None:
        """Train and score what is missing; seed after seed, so that at any time all methods have as many runs.

        Raises:
            ValueError: As `fit` does, or if the folder holds runs by another recipe.
        """
        for seed in range(self.seeds):
            for variant in self.variants:
                self.train(variant, seed)
                self.counts(variant, seed)

    def report(self) -> dict[str, Any]:
        """Report on the seeds that all methods have been run with, see `report`.

        Raises:
            ValueError: If there is none.
        """
        runs = [(variant, seed) for seed in range(self.seeds) for variant in self.variants]
        missing = [(variant, seed) for variant, seed in runs if not self.counted(variant, seed).exists()]
        lacking = {seed for _, seed in missing}
        seeds = [seed for seed in range(self.seeds) if seed not in lacking]
        named = [f"{variant.name} seed {seed}" for variant, seed in missing]
        if not seeds:
            raise ValueError(f"upsamplers: expected a seed that all have been run with; missing: {', '.join(named)}")
        return report(
            [self._contestant(variant, seeds) for variant in self.variants],
            self.images(),
            self.asked,
            name=self._data_name(),
            setting=self._facts(),
            seeds=seeds,
            missing=named,
            tell=self.tell,
        )

    def to_do(self, variant: Variant, seed: int) -> str:
        """What a run still lacks, in a word or two."""
        if self.counted(variant, seed).exists():
            return "nothing"
        return "score" if self.trained(variant, seed) else "train, score"

    def directory(self, variant: Variant, seed: int) -> Path:
        """Of a run."""
        return self.asked.output / variant.name / f"seed-{seed}"

    def model(self, variant: Variant, seed: int) -> Path:
        """Model file of a run that is scored."""
        return self.directory(variant, seed) / f"{self.checkpoint}.safetensors"

    def stages(self, variant: Variant, seed: int) -> list[Recipe]:
        """The recipes of a run, one after another.

        Raises:
            ValueError: If a file cannot be read, or a setting is unknown or wrong.
        """
        words = [f"--{name}={value}" for name, value in self.settings.items()]
        return read_stages([*self.recipe, self._overlay(variant)], [*words, f"--schedule.seed={seed}"])

    def trained(self, variant: Variant, seed: int) -> bool:
        """Whether a run is finished."""
        return (self.directory(variant, seed) / "last.safetensors").exists()

    def train(self, variant: Variant, seed: int) -> None:
        """Train a run, or go on with it, unless it is finished.

        Raises:
            ValueError: As `fit` does, or if the directory holds a run by another recipe.
        """
        stages, directory = self.stages(variant, seed), self.directory(variant, seed)
        if self.trained(variant, seed):
            claim(directory, stages[-1], resume=True)
            return
        self.tell(f"training {variant.name}, seed {seed}")
        run_training([self._with_basis(recipe) for recipe in stages], directory)

    def counted(self, variant: Variant, seed: int) -> Path:
        """File of the counts of a run, as they are asked for here; it need not be there."""
        return self.directory(variant, seed) / f"counts-{self.checkpoint}-{self._asked()}.npz"

    def counts(self, variant: Variant, seed: int) -> ImageCounts:
        """Counts of a finished run, made if they are not there."""
        path = self.counted(variant, seed)
        if not path.exists():
            self.tell(f"scoring {variant.name}, seed {seed}")
            model = self.asked.load(self.model(variant, seed))
            with progress_bar("scoring") as progress:
                images, protocol = self.images(), self.asked.protocol
                count_images(model, images, protocol=protocol, workers=1, progress=progress).save(path)
        return ImageCounts.load(path)

    def images(self) -> SampleSet:
        """The images that are scored."""
        recipe = self.stages(self.variants[0], 0)[-1]
        return build_split(replace(recipe.data, val=self.asked.split), "val")

    def curves(self, variant: Variant, seed: int) -> dict[str, list[tuple[float, float]]]:
        """Training loss, smoothed, and validation mIoU of a run as (step, value)."""
        directory = self.directory(variant, seed)
        rows = read_history(directory / "train.csv")
        column = "loss_main" if rows and "loss_main" in rows[0] else "loss"
        parts = [rows[start : start + SMOOTHED] for start in range(0, len(rows), SMOOTHED)]
        loss = [(part[-1]["step"], sum(row[column] for row in part) / len(part)) for part in parts]
        return {
            "loss": loss,
            "miou": [(row["step"], row["miou"]) for row in read_history(directory / "validation.csv")],
        }

    def _contestant(self, variant: Variant, seeds: Sequence[int]) -> Contestant:
        return Contestant(
            variant.name,
            [self.model(variant, seed) for seed in seeds],
            [self.counts(variant, seed) for seed in seeds],
            variant.description,
            variant.paper,
            [self.curves(variant, seed) for seed in seeds],
        )

    def _data_name(self) -> str:
        """Of the data set, or of the folder that it lies in."""
        data = self.stages(self.variants[0], 0)[-1].data
        return data.root.name if data.name in ("folder", "shards") and data.root else data.name

    def _facts(self) -> dict[str, str]:
        """What all methods share, in a few words each."""
        recipe = self.stages(self.variants[0], 0)[-1]
        schedule, data = recipe.schedule, recipe.data
        length = f"{schedule.epochs:g} epochs" if schedule.epochs else f"{schedule.steps:,} steps"
        return {
            "Network": f"{recipe.model.backbone}, {recipe.model.head}, output stride {recipe.model.output_stride}",
            "Training": f"{length} of {schedule.batch_size} crops, {data.crop[0]} × {data.crop[1]}",
            "Optimiser": f"{recipe.optimizer.name}, rate {recipe.optimizer.learning_rate:g}",
            "Start": "pretrained backbone" if recipe.model.pretrained else "random weights",
            "Scored": {"last": "after the last step", "best": "the best on the validation split"}[self.checkpoint],
        }

    def _overlay(self, variant: Variant) -> Path:
        """What the method changes, as a recipe file that can be read beside its runs."""
        path = self.asked.output / "methods" / f"{variant.name}.yaml"
        text = yaml.safe_dump(json.loads(json.dumps(variant.changes)), sort_keys=False)
        if not path.exists() or path.read_text() != text:
            write_text(path, text)
        return path

    def _with_basis(self, recipe: Recipe) -> Recipe:
        model = recipe.model
        if model.upsampler != "dupsampling" or model.basis is not None or model.takes_over("upsampler"):
            return recipe
        channels = model.upsampler_options.get("channels", 64)
        basis = kept_basis(self.asked.output / "bases", recipe, model.output_stride, channels, self.tell)
        return replace(recipe, model=replace(model, basis=basis))

    def _asked(self) -> str:
        return hashlib.sha256(json.dumps(self.asked.key(), sort_keys=True, default=str).encode()).hexdigest()[:8]
