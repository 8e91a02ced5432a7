"""Runs and what was measured of them, kept in a folder: what is there is not done again."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from offstride.data import SampleSet
from offstride.experiments.bases import fit_basis
from offstride.files import write_text
from offstride.models import Segmenter
from offstride.train import Recipe, build_split, fit_stages
from offstride.train.claim import claim
from offstride.train.recipe import recipe_to_dict
from offstride.upsamplers import UPSAMPLERS

LAST = "last.safetensors"
"""Model of a finished run."""
CPU = torch.device("cpu")
Report = Callable[[int, int], None]
"""Progress callback: `report(done, total)`."""
Progress = Callable[[str], AbstractContextManager[Report]]
"""Progress bars: takes a title, gives a context with a progress callback."""


@contextmanager
def no_progress(title: str) -> Iterator[Report]:
    """Show nothing."""
    yield lambda done, total: None


@dataclass(frozen=True)
class Store:
    """A folder of runs.

    Args:
        folder: The folder; each run has a directory of its own in it, label bases lie in `bases`.
        device: Where models are scored.
        announce: Called with a line of text before anything that takes a while.
        progress: Progress bars.
    """

    folder: Path
    device: torch.device = CPU
    announce: Callable[[str], None] = lambda text: None
    progress: Progress = no_progress

    def load(self, model: Path, output_stride: int | None = None) -> Segmenter:
        """A model file, on the device where models are scored.

        Raises:
            ValueError: If it is no model.
        """
        return Segmenter.load(model, output_stride=output_stride).to(self.device)

    def train(self, stages: Sequence[Recipe], directory: Path, title: str) -> None:
        """Train stages one after another, or go on with them, unless the run is finished.

        Raises:
            ValueError: As `fit_stages` does, or if the directory holds a run by another recipe.
        """
        if is_finished(directory):
            claim(directory, stages[-1], resume=True)
            return
        self.announce(f"training {title}")
        _run([self._with_basis(recipe) for recipe in stages], directory)

    def basis(self, recipe: Recipe, scale: int, channels: int) -> Path:
        """File of the label basis that DUpsampling starts from, fitted to the training split if it is not there."""
        path = self.folder / "bases" / f"{recipe.data.name}-{recipe.data.train}-{scale}-{channels}.safetensors"

        def fit(path: Path) -> None:
            self.announce(f"fitting {path}")
            fit_basis(build_split(recipe.data, "train"), scale, channels).save(path)

        return kept(path, fit)

    def _with_basis(self, recipe: Recipe) -> Recipe:
        model = recipe.model
        channels = UPSAMPLERS[model.upsampler].basis_channels(model.upsampler_options)
        if channels is None or model.basis is not None or model.takes_over("upsampler"):
            return recipe
        basis = self.basis(recipe, model.output_stride, channels)
        return replace(recipe, model=replace(model, basis=basis))


def kept(path: Path, write: Callable[[Path], None]) -> Path:
    """A file that is written, whole or not at all, if it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    return path


def digest(value: Any, length: int = 8, *, sort_keys: bool = True) -> str:
    """A short name for plain data: the start of the hash of its JSON."""
    text = json.dumps(value, sort_keys=sort_keys, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def is_finished(directory: Path) -> bool:
    """Whether a directory holds a finished run."""
    return (directory / LAST).exists()


def scored_images(recipe: Recipe, split: str) -> SampleSet:
    """The images of a split of a recipe's data set."""
    return build_split(replace(recipe.data, val=split), "val")


def length(recipe: Recipe) -> str:
    """How long a recipe trains, in two words."""
    schedule = recipe.schedule
    return f"{schedule.epochs:g} epochs" if schedule.epochs else f"{schedule.steps:,} steps"


def _run(stages: Sequence[Recipe], directory: Path) -> None:
    """Train; where there are several processes they are started by the command line, as Lightning does it."""
    last = stages[-1]
    if last.schedule.devices * last.schedule.nodes == 1:
        fit_stages(list(stages), directory, resume=True)
        return
    if len(stages) > 1:
        raise ValueError("schedule.devices: expected 1 for a recipe that comes after another, train its stages apart")
    file = directory.with_suffix(".yaml")
    write_text(file, yaml.safe_dump(recipe_to_dict(last), sort_keys=False))
    command = [sys.executable, "-m", "offstride", "train", str(file), "--output", str(directory), "--resume"]
    if code := subprocess.run(command, check=False, stdout=sys.stderr.fileno()).returncode:
        raise ValueError(f"training {directory} ended with code {code}")
