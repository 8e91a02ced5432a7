"""Differences class by class as a heat table: colour and number say the same, so that neither is needed alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offstride.visualize.comparison.numbers import Verdict, change, class_score, points, signed, verdict

MOST = 30
"""Number of classes shown at once; of more, those with the largest differences."""


@dataclass(frozen=True)
class HeatCell:
    """A difference: its text, the strength of its colour (per cent), its side (`more` or `less`), and a tooltip."""

    text: str
    strength: int
    side: str
    verdict: Verdict
    title: str


@dataclass(frozen=True)
class HeatRow:
    """A class with the baseline's IoU and the differences of the others."""

    name: str
    color: tuple[int, int, int]
    thin: bool
    baseline: str
    cells: list[HeatCell]


@dataclass(frozen=True)
class Heat:
    """Rows that are shown, rows on demand, and the difference that has the strongest colour."""

    shown: list[HeatRow]
    folded: list[HeatRow]
    limit: str


def class_order(report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Classes to show and to fold: of at most `MOST` all in their order, else those with the largest differences."""
    names = list(report["data"]["classes"])
    if len(names) <= MOST:
        return names, []
    largest = {name: max(map(abs, _changes(report, name)), default=-1.0) for name in names}
    first = sorted(names, key=lambda name: -largest[name])[:MOST]
    return first, [name for name in names if name not in first]


def heat_table(report: Mapping[str, Any]) -> Heat | None:
    """The table; None where no class has a difference."""
    shown, folded = class_order(report)
    every = [abs(value) for name in report["data"]["classes"] for value in _changes(report, name)]
    if not every:
        return None
    # a single outlier must not make all other colours pale
    limit = float(np.quantile(every, 0.97)) or max(every) or 1.0
    return Heat(_rows(report, shown, limit), _rows(report, folded, limit), points(limit))


def _rows(report: Mapping[str, Any], names: Sequence[str], limit: float) -> list[HeatRow]:
    data = report["data"]
    colors = dict(zip(data["classes"], data["colors"], strict=True))
    return [
        HeatRow(
            name=name,
            color=tuple(colors[name]),
            thin=name in (data.get("thin") or ()),
            baseline=points(class_score(report["entries"][0], name).get("mean")),
            cells=[_cell(name, entry, limit) for entry in report["entries"][1:]],
        )
        for name in names
    ]


def _cell(name: str, entry: Mapping[str, Any], limit: float) -> HeatCell:
    score = class_score(entry, name)
    difference = change(score)
    if not difference:
        return HeatCell("–", 0, "more", "none", f"{name}, {entry['name']}: no difference known")
    strength = round(100 * min(abs(difference["mean"]) / limit, 1))
    side = "more" if difference["mean"] > 0 else "less"
    title = f"{name}, {entry['name']}: IoU {points(score['mean'])} %"
    return HeatCell(signed(score), strength, side, verdict(score), title)


def _changes(report: Mapping[str, Any], name: str) -> list[float]:
    changes = (change(class_score(entry, name)) for entry in report["entries"][1:])
    return [difference["mean"] for difference in changes if difference]
