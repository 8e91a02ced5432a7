"""Our figures of a row of a table, in the units of the paper."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from offstride.data.build import DATASETS
from offstride.experiments.runs import Runs
from offstride.experiments.tables import FIGURES, TableRow
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


def row_figures(runs: Runs, row: TableRow, seeds: Sequence[int], *, run: bool = True) -> dict[str, Summary]:
    """Our figures of a row.

    Args:
        runs: Runs of the table.
        row: A row with a recipe file.
        seeds: Seeds of the trainings.
        run: Run what is missing; otherwise leave it out.
    """
    wanted = {name for name in row.published if name in FIGURES}
    values: dict[str, list[float]] = {}
    for seed in seeds:
        if run or (row.measure not in ("speed", "complexity") and runs.is_done(row, seed)):
            for name, value in _measured(runs, row, seed).items():
                if name in wanted:
                    values.setdefault(name, []).append(value)
    values |= {name: [value] for name, value in _counted(runs, row, wanted).items()}
    return {name: Summary(numbers) for name, numbers in values.items()}


def _measured(runs: Runs, row: TableRow, seed: int) -> dict[str, float]:
    """Figures of a run: accuracies in per cent, or a speed."""
    if row.measure == "complexity":
        return {}
    if row.measure == "speed":
        model = _model(runs.setting.recipe(row.training, seed), "cpu").to(runs.store.device).eval()
        return {"frames_per_second": timed(model, row.size, 10)["frames_per_second"]}
    if row.measure == "server":
        runs.trained(row.training, seed)
        return {}
    scores = runs.measured(row, seed)
    if row.measure == "upper-bound":
        return {"upper_bound": 100 * scores["miou"]}
    figures = {name: 100 * scores[name] for name in ("miou", "pixel_accuracy") if scores[name] is not None}
    if "relative_time" in row.published:
        figures["relative_time"] = _seconds(runs, row.training, seed) / _seconds(runs, row.against, seed)
    return figures


def _seconds(runs: Runs, path: Path | None, seed: int) -> float:
    """Time that a training took."""
    if path is None:
        raise ValueError("against: expected the row that times are relative to, got none")
    directory = runs.trained(load_recipe_file(path).training, seed)
    return read_history(directory / "train.csv")[-1]["seconds"]


def _counted(runs: Runs, row: TableRow, wanted: set[str]) -> dict[str, float]:
    """Figures that need no run."""
    if not any(FIGURES[name].kind == "complexity" for name in wanted):
        return {}
    own = _costs(runs, row.training, row.size)
    figures = {"parameters": own.parameters / _MEGA, "macs": own.macs / _GIGA, "flops": own.flops / _GIGA}
    if row.against is not None:
        base = _costs(runs, load_recipe_file(row.against).training, row.size)
        figures["extra_parameters"] = (own.parameters - base.parameters) / _MEGA
        figures["extra_macs"] = (own.macs - base.macs) / _GIGA
    if "decoder_flops" in wanted:
        figures["decoder_flops"] = decoder_flops(_model(runs.setting.recipe(row.training, 0)), row.size) / _GIGA
    return {name: value for name, value in figures.items() if name in wanted}


def _costs(runs: Runs, path: Path, size: tuple[int, int]) -> Complexity:
    return complexity(_model(runs.setting.recipe(path, 0)), size)


def _model(recipe: Recipe, device: str = "meta") -> Segmenter:
    """The model of a recipe; on `meta` without values."""
    name = recipe.data.name
    if (classes := DATASETS[name].classes) is None:
        raise ValueError(f"data.name: expected a data set with classes of its own to count costs for, got {name!r}")
    with torch.device(device):
        return create_model(classes=len(classes), **recipe.model.settings())
