"""The cache of a run: what is frozen is computed before the first step, and read from there on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from offstride.data import SampleSet
from offstride.models import Segmenter
from offstride.train.frozen import FrozenOutputs
from offstride.train.frozen_set import FrozenCrops, FrozenImages, Report, frozen_crops, frozen_images
from offstride.train.recipe import Recipe


class RunCache:
    """The data of a run with `data.cache`, with the outputs of the frozen parts.

    Args:
        recipe: What to train.
        folder: Of the cache; runs and processes may share it.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder

    def crops(self, model: Segmenter, dataset: SampleSet, rank: int = 0, world_size: int = 1) -> FrozenCrops:
        """Training crops. Processes begin at different images and share what they compute."""
        data, seed = self.recipe.data, self.recipe.schedule.seed
        scales = f"scale {', '.join(f'{scale:g}' for scale in data.cache_scales)}"
        with self._filling(model, dataset, f"training images at {scales}", rank) as (frozen, progress):
            return frozen_crops(
                frozen,
                dataset,
                data.crop,
                scales=data.cache_scales,
                flip=data.flip,
                base=data.base,
                base_side=data.base_side,
                seed=seed,
                first=rank * len(dataset) // world_size,
                progress=progress,
            )

    def images(self, model: Segmenter, dataset: SampleSet, rank: int = 0, world_size: int = 1) -> FrozenImages:
        """This process's share of the images of the validation."""
        with self._filling(model, dataset, "validation images", rank) as (frozen, progress):
            return frozen_images(frozen, dataset, range(rank, len(dataset), world_size), progress)

    @contextmanager
    def _filling(
        self, model: Segmenter, dataset: SampleSet, what: str, rank: int
    ) -> Iterator[tuple[FrozenOutputs, Report]]:
        """Outputs of the frozen parts, and a progress callback; afterwards a line says what was computed."""
        layout = torch.channels_last if self.recipe.schedule.channels_last else torch.contiguous_format
        console, began = Console(stderr=True, quiet=rank > 0), time.monotonic()
        parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        silent = rank > 0 or not console.is_terminal
        with Progress(*parts, console=console, transient=True, disable=silent) as bar:
            frozen = FrozenOutputs(model, dataset[0].image, self.folder, layout=layout)
            task = bar.add_task(f"frozen outputs of {what}", total=None)
            yield frozen, lambda done, total: bar.update(task, completed=done, total=total)
        counts = f"{frozen.computed} maps computed, {frozen.found} found in {self.folder}"
        text = f"cache: {what}: {counts} ({time.monotonic() - began:.0f} s)"
        console.print(text, highlight=False, soft_wrap=True)
