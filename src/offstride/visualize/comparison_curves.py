"""Learning curves of a comparison: one small plot per entry, all on the same axes, with the baseline behind."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offstride.visualize.curves import Curve, Line, Points, lay_out


@dataclass(frozen=True)
class Panel:
    """One entry: its mean over runs, its single runs (none where there is one), and the baseline's mean."""

    index: int
    name: str
    mean: Line
    runs: list[Line]
    baseline: Line | None


@dataclass(frozen=True)
class Panels:
    """A quantity over training; ticks are (per cent from left or top, text)."""

    name: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    panels: list[Panel]


def curve_panels(report: Mapping[str, Any]) -> list[Panels]:
    """Plots of what was written down during training; none where nothing was."""
    kinds = (("miou", "Validation mIoU, %", 100.0, ".1f"), ("loss", "Training loss, with location terms", 1.0, ".3f"))
    plots = [_panels(report, *kind) for kind in kinds]
    return [plot for plot in plots if plot]


def _panels(report: Mapping[str, Any], key: str, name: str, scale: float, spec: str) -> Panels | None:
    runs = {
        index: [_clean(points, scale) for points in (entry.get("curves") or {}).get(key) or ()]
        for index, entry in enumerate(report["entries"])
    }
    runs = {index: found for index, them in runs.items() if (found := [points for points in them if points])}
    if not runs:
        return None
    named = {f"{index} mean": _mean(them) for index, them in runs.items()}
    named |= {f"{index} {run}": points for index, them in runs.items() for run, points in enumerate(them)}
    drawn = lay_out(Curve(name, named, spec))
    lines = {line.model: line for line in drawn.lines}
    panels = [
        Panel(
            index=index,
            name=report["entries"][index]["name"],
            mean=lines[f"{index} mean"],
            runs=[lines[f"{index} {run}"] for run in range(len(them))] if len(them) > 1 else [],
            baseline=lines.get("0 mean") if index else None,
        )
        for index, them in runs.items()
    ]
    return Panels(name, drawn.x_ticks[:: max(len(drawn.x_ticks) - 1, 1)], drawn.y_ticks, panels)


def _clean(points: Sequence[Sequence[float | None]] | None, scale: float) -> list[tuple[float, float]]:
    return [
        (step, scale * value)
        for step, value in points or ()
        if step is not None and value is not None and math.isfinite(value)
    ]


def _mean(runs: Sequence[Points]) -> Points:
    """The mean at every step that all runs have got to; of runs without a common step, over those there are."""
    found: dict[float, list[float]] = defaultdict(list)
    for points in runs:
        for step, value in points:
            found[step].append(value)
    common = {step: values for step, values in found.items() if len(values) == len(runs)} or found
    return [(step, sum(values) / len(values)) for step, values in sorted(common.items())]
