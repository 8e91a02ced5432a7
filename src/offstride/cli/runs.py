"""What commands that run many trainings share."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from offstride.cli.console import write_text
from offstride.data import LabelMaps
from offstride.train import Recipe, build_split, fit_stages
from offstride.train.recipe import recipe_to_dict
from offstride.upsamplers import fit_label_basis


def run_training(stages: Sequence[Recipe], directory: Path) -> None:
    """Train stages one after another, or go on with them.

    Where there are several processes they are started by the command line, as Lightning does it.

    Raises:
        ValueError: As `fit_stages` does.
    """
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


def kept_basis(
    folder: Path, recipe: Recipe, scale: int, channels: int, tell: Callable[[str], None] = lambda text: None
) -> Path:
    """Basis of the labels that DUpsampling starts from: a file in a folder, fitted if it is not there."""
    path = folder / f"{recipe.data.name}-{recipe.data.train}-{scale}-{channels}.safetensors"
    if not path.exists():
        tell(f"fitting {path}")
        dataset = build_split(recipe.data, "train")
        maps = LabelMaps(dataset)
        basis = fit_label_basis(
            (maps[index] for index in range(len(maps))), scale=scale, classes=len(dataset.classes), channels=channels
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        basis.save(path)
    return path
