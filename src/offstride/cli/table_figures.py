"""The figures of a row of a table, ours, in the units of the print."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from offstride.cli.console import pick_device
from offstride.cli.table_rows import FIGURES, Row
from offstride.cli.table_runs import Runs
from offstride.data.catalog import CAMVID, STREETS
from offstride.data.registry import OFFICIAL
from offstride.models import Segmenter, create_model
from offstride.models.complexity import Complexity, complexity, decoder_flops
from offstride.models.timing import timed
from offstride.train import Recipe, read_history
from offstride.train.recipe_file import load_recipe_file

_GIGA, _MEGA = 1e9, 1e6


@dataclass(frozen=True)
class Summary:
    """One figure over the seeds.

    Attributes:
        values: One for each seed that has it.
    """

    values: Sequence[float]

    @property
    def mean(self) -> float:
        """Mean."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the sample; None for a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


def row_figures(runs: Runs, row: Row, seeds: Sequence[int], *, run: bool = True) -> dict[str, Summary]:
    """Our figures of a row.

    Args:
        runs: Where they come from.
        row: With a recipe file.
        seeds: Of the trainings.
        run: Do what is not done yet; otherwise what is missing is left out.
    """
    wanted = {name for name in row.published if name in FIGURES}
    found: dict[str, list[float]] = {}
    for seed in seeds:
        if run or (row.measure not in ("speed", "complexity") and runs.is_done(row, seed)):
            for name, value in _measured(runs, row, seed).items():
                if name in wanted:
                    found.setdefault(name, []).append(value)
    counted = _counted(runs, row, wanted)
    return {name: Summary(values) for name, values in found.items()} | {k: Summary([v]) for k, v in counted.items()}


def _measured(runs: Runs, row: Row, seed: int) -> dict[str, float]:
    """What a run gives: accuracies in per cent, or a speed."""
    assert row.file is not None
    if row.measure == "complexity":
        return {}
    if row.measure == "speed":
        model = _model(runs.recipe(row, seed), "cpu").to(pick_device(runs.device)).eval()
        return {"frames_per_second": timed(model, row.size, 10)["frames_per_second"]}
    if row.measure == "upper-bound":
        return {"upper_bound": 100 * runs.bound(row, seed)["miou"]}
    if row.measure == "server":
        runs.trained(row.file.training, seed)
        return {}
    scores = runs.scores(row, seed)
    found = {name: 100 * scores[name] for name in ("miou", "pixel_accuracy") if scores[name] is not None}
    if "relative_time" in row.published:
        found["relative_time"] = _seconds(runs, row.file.training, seed) / _seconds(runs, row.against, seed)
    return found


def _seconds(runs: Runs, path: Path | None, seed: int) -> float:
    """Time that a training took."""
    if path is None:
        raise ValueError("against: expected the row that times are relative to, got none")
    directory = runs.trained(load_recipe_file(path).training, seed)
    return read_history(directory / "train.csv")[-1]["seconds"]


def _counted(runs: Runs, row: Row, wanted: set[str]) -> dict[str, float]:
    """What is counted without a run."""
    if not any(FIGURES[name].kind == "complexity" for name in wanted):
        return {}
    assert row.file is not None
    own = _costs(runs, row.file.training, row.size)
    base = None if row.against is None else _costs(runs, load_recipe_file(row.against).training, row.size)
    found = {"parameters": own.parameters / _MEGA, "macs": own.macs / _GIGA, "flops": own.flops / _GIGA}
    if base is not None:
        found["extra_parameters"] = (own.parameters - base.parameters) / _MEGA
        found["extra_macs"] = (own.macs - base.macs) / _GIGA
    if "decoder_flops" in wanted:
        found["decoder_flops"] = decoder_flops(_model(runs.setting.recipe(row.file.training, 0)), row.size) / _GIGA
    return {name: value for name, value in found.items() if name in wanted}


def _costs(runs: Runs, path: Path, size: tuple[int, int]) -> Complexity:
    return complexity(_model(runs.setting.recipe(path, 0)), size)


def _model(recipe: Recipe, device: str = "meta") -> Segmenter:
    """The model of a recipe, without values unless a device for them is named."""
    with torch.device(device):
        return create_model(classes=_classes(recipe.data.name), **recipe.model.settings())


def _classes(name: str) -> int:
    """Number of classes of a data set whose files need not be there."""
    own = {"camvid": CAMVID, "streets": STREETS}
    if name in own:
        return len(own[name])
    if name not in OFFICIAL:
        raise ValueError(f"data.name: expected a data set with classes of its own to count costs for, got {name!r}")
    return len(OFFICIAL[name].classes)
