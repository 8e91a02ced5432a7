"""The directory of a run belongs to one recipe."""

from pathlib import Path

import yaml
from lightning.pytorch.utilities import rank_zero_only

from offstride.files import write_text
from offstride.train.recipe import Recipe, recipe_to_dict

FREE = {
    "data.cache_dir",
    "data.root",
    "data.workers",
    "model.basis",
    "model.pretrained",
    "model.start",
    "schedule.accelerator",
    "schedule.checkpoint_every",
    "schedule.devices",
    "schedule.log_every",
    "schedule.nodes",
}
"""Settings that may change when a run is resumed: they do not change what it computes."""


@rank_zero_only
def claim(directory: Path, recipe: Recipe, *, resume: bool) -> None:
    """Write the recipe of a run to its directory, or check that the directory holds a run by this recipe.

    Raises:
        ValueError: If the directory holds a run and `resume` is false, or a run by another recipe.
    """
    described, file = recipe_to_dict(recipe), directory / "recipe.yaml"
    if file.exists() and not resume:
        raise ValueError(f"output: {directory} holds a run already; resume it, or choose another directory")
    if file.exists():
        stored = yaml.safe_load(file.read_text())  # without settings that are newer than it: defaults change nothing
        before = {name: section | stored.get(name, {}) for name, section in recipe_to_dict(Recipe()).items()}
        changed = [name for name in _differences(before, described) if name not in FREE]
        if changed:
            raise ValueError(f"resume: {directory} holds a run by another recipe; different: {', '.join(changed)}")
    write_text(file, yaml.safe_dump(described, sort_keys=False))


def _differences(before: dict, now: dict, prefix: str = "") -> list[str]:
    """Names of the settings in which two recipes differ."""
    names = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            names += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            names.append(f"{prefix}{key}")
    return names
