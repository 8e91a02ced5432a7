"""Differences class by class as a heat table: which classes, and the scale of the colours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from offstride.visualize.comparison.numbers import change, class_score

MOST = 30
"""Number of classes shown at once; of more, those with the largest differences."""


@dataclass(frozen=True)
class Heat:
    """Classes that are shown, classes on demand, and the difference (share of 1) that has the strongest colour."""

    shown: list[str]
    folded: list[str]
    limit: float


def class_order(report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Classes to show and to fold: of at most `MOST` all in their order, else those with the largest differences."""
    names = list(report["data"]["classes"])
    if len(names) <= MOST:
        return names, []
    largest = {name: max(_changes(report, name), default=-1.0) for name in names}
    first = sorted(names, key=lambda name: -largest[name])[:MOST]
    return first, [name for name in names if name not in first]


def heat_table(report: Mapping[str, Any]) -> Heat | None:
    """What the table shows; None where no class has a difference."""
    every = [value for name in report["data"]["classes"] for value in _changes(report, name)]
    if not every:
        return None
    # a single outlier must not make all other colours pale
    return Heat(*class_order(report), limit=float(np.quantile(every, 0.97)) or max(every) or 1.0)


def _changes(report: Mapping[str, Any], name: str) -> list[float]:
    """Magnitudes of the differences of a class."""
    changes = (change(class_score(entry, name)) for entry in report["entries"][1:])
    return [abs(difference["mean"]) for difference in changes if difference]
