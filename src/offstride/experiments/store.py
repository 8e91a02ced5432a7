"""A folder of runs and their results; what exists is not computed again."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from offstride.compare.opened import open_compared
from offstride.data import SampleSet
from offstride.experiments.bases import Report, fit_basis
from offstride.files import write_text
from offstride.models import BaseSegmenter
from offstride.train import Recipe, build_split, fit_stages
from offstride.train.claim import claim
from offstride.train.recipe import recipe_to_dict
from offstride.upsamplers import UPSAMPLERS

LAST = "last.safetensors"
"""Model of a finished run."""
CPU = torch.device("cpu")
Progress = Callable[[str], AbstractContextManager[Report]]
"""Progress bars: from a title to a context with a progress callback."""


@contextmanager
def no_progress(title: str) -> Iterator[Report]:
    """Show nothing."""
    yield lambda done, total: None


@dataclass(frozen=True)
class Store:
    """A folder of runs.

    Args:
        folder: The folder, with a directory for each run and one of label bases.
        device: Device of scoring.
        announce: Callback for messages before long steps: `announce(text)`.
        progress: Progress bars.
        missing: What is not known of models of other libraries, see `open_compared`.
    """

    folder: Path
    device: torch.device = CPU
    announce: Callable[[str], None] = lambda text: None
    progress: Progress = no_progress
    missing: Mapping[str, Any] = field(default_factory=dict)

    def load(self, model: str | Path, output_stride: int | None = None) -> Any:
        """A model on the device of scoring, see `open_compared`; exported files run on the CPU."""
        opened = open_compared(model, output_stride, self.missing)
        return opened.to(self.device) if isinstance(opened, BaseSegmenter) else opened

    def train(self, stages: Sequence[Recipe], directory: Path, title: str) -> None:
        """Train or resume the stages of a run, unless it is finished.

        Raises:
            ValueError: As `fit_stages` does, or if the directory holds a run by another recipe.
        """
        stages = [self._with_cache(recipe) for recipe in stages]
        if is_finished(directory):
            claim(directory, stages[-1], resume=True)
            return
        self.announce(f"training {title}")
        _run([self._with_basis(recipe) for recipe in stages], directory)

    def basis(self, recipe: Recipe, scale: int, channels: int) -> Path:
        """File of the label basis that DUpsampling starts from, fitted to the training split if missing."""
        path = self.folder / "bases" / f"{recipe.data.name}-{recipe.data.train}-{scale}-{channels}.safetensors"

        def fit(path: Path) -> None:
            self.announce(f"fitting {path}")
            fit_basis(build_split(recipe.data, "train"), scale, channels).save(path)

        return kept(path, fit)

    def _with_cache(self, recipe: Recipe) -> Recipe:
        """With outputs of frozen parts in a folder that all runs share."""
        if not recipe.data.cache or recipe.data.cache_dir is not None:
            return recipe
        return replace(recipe, data=replace(recipe.data, cache_dir=self.folder / "cache"))

    def _with_basis(self, recipe: Recipe) -> Recipe:
        model = recipe.model
        channels = UPSAMPLERS[model.upsampler].basis_channels(model.upsampler_options)
        if channels is None or model.basis is not None or model.takes_over("upsampler"):
            return recipe
        basis = self.basis(recipe, model.output_stride, channels)
        return replace(recipe, model=replace(model, basis=basis))


def kept(path: Path, write: Callable[[Path], None]) -> Path:
    """A file, written if it does not exist."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    return path


def digest(value: Any, length: int = 8, *, sort_keys: bool = True) -> str:
    """The start of the hash of plain data, for names of files."""
    text = json.dumps(value, sort_keys=sort_keys, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def is_finished(directory: Path) -> bool:
    """Whether a directory holds a finished run."""
    return (directory / LAST).exists()


def scored_images(recipe: Recipe, split: str) -> SampleSet:
    """The images of a split of a recipe's data set."""
    return build_split(replace(recipe.data, val=split), "val")


def length(recipe: Recipe) -> str:
    """Length of a training, as text."""
    schedule = recipe.schedule
    return f"{schedule.epochs:g} epochs" if schedule.epochs else f"{schedule.steps:,} steps"


def _run(stages: Sequence[Recipe], directory: Path) -> None:
    """Train; several processes are started by the command line, as Lightning does it."""
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
