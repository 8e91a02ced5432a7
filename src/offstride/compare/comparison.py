"""Runs of several methods as one report: plain values, of which the page, the Markdown and the JSON are made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offstride.compare.counts import ImageCounts
from offstride.compare.statistics import (
    Scoring,
    image_choices,
    image_shares,
    percentiles,
    run_choices,
    student_interval,
)
from offstride.data import ClassSet

EXTREMES = 3
"""So many images where a method wins, and as many where it loses."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A method and its runs.

    Args:
        name: Short name.
        runs: What every run gets right, all on the same images; in the order of the seeds, where there are seeds.
        description: What it is, in a line.
        paper: Where it comes from.
        curves: Learning curves by name, (step, value) of every run.
        costs: See `measure_costs`.
    """

    name: str
    runs: Sequence[ImageCounts]
    description: str = ""
    paper: str = ""
    curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]] = field(default_factory=dict)
    costs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Args:
        level: Of all intervals.
        resamples: Number of bootstrap resamples.
        block: Consecutive images that are drawn together; more than 1 where neighbours are alike, as in videos.
        seed: Of the draws.

    Raises:
        ValueError: If the level is not between 0 and 1.
    """

    level: float = 0.95
    resamples: int = 2000
    block: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level: expected a share between 0 and 1, got {self.level}")


@dataclass(frozen=True, eq=False)
class _Scored:
    """Scores of the runs of an entry: `observed` `(S, M)` and `resampled` `(R, S, M)`."""

    observed: np.ndarray
    resampled: np.ndarray


def compare(
    entries: Sequence[Entry], classes: ClassSet, resampling: Resampling = Resampling(), *, paired: bool = True
) -> dict[str, Any]:
    """Compare methods with the first of them.

    Args:
        entries: The methods, each with one run or more; the first is the baseline.
        classes: Of the images.
        resampling: How intervals are made.
        paired: Whether runs at the same place belong together: same seed, so same initial weights and crops. Otherwise
            runs are drawn independently, and there is no interval over seeds.

    Returns:
        `baseline`, `metrics`, `widths`, `level`, `resamples`, `block`, `paired` and `entries` as JSON holds them. Every
        figure has its `mean`, `sd` and `values` over the runs and, but for the baseline, its `difference`: `mean`,
        `sd`, `values`, the intervals over `images`, `seeds` and `both`, and whether it is `clear`: neither the interval
        over images nor, where there is one, that over seeds contains 0.

    Raises:
        ValueError: If there are no entries, two have one name, one has no runs, runs saw other images, or paired
            entries have different numbers of runs.
    """
    _check(entries, paired)
    first = entries[0].runs[0]
    scoring = Scoring(classes.names, classes.thin, first.widths)
    random = np.random.default_rng(resampling.seed)
    choices = image_choices(len(first), resampling.resamples, resampling.block, random)
    scored = [_scored(entry, scoring, choices) for entry in entries]
    pairs = run_choices(len(entries[0].runs), resampling.resamples, random)
    found = []
    for entry, own in zip(entries, scored, strict=True):
        drawn = pairs if paired else run_choices(len(entry.runs), resampling.resamples, random)
        base = None if entry is entries[0] else _Against(scored[0], pairs, drawn, paired, resampling.level)
        found.append(_described(entry, own, scoring, base, entries[0]))
    return {
        "baseline": entries[0].name,
        "metrics": scoring.metrics,
        "widths": list(scoring.widths),
        "level": resampling.level,
        "resamples": resampling.resamples,
        "block": resampling.block,
        "paired": paired,
        "entries": found,
    }


def _check(entries: Sequence[Entry], paired: bool) -> None:
    names = [entry.name for entry in entries]
    if not entries or len(set(names)) < len(names):
        raise ValueError(f"entries: expected methods with names of their own, got {', '.join(names) or 'none'}")
    if empty := [entry.name for entry in entries if not entry.runs]:
        raise ValueError(f"entries: expected at least one run of each method, got none of {', '.join(empty)}")
    first = entries[0].runs[0]
    for entry in entries:
        if paired and len(entry.runs) != len(entries[0].runs):
            raise ValueError(f"entries: expected {len(entries[0].runs)} runs of {entry.name}, got {len(entry.runs)}")
        for run in entry.runs:
            if (run.names, run.widths, run.found.shape) != (first.names, first.widths, first.found.shape):
                raise ValueError(f"entries: a run of {entry.name} was scored on other images, widths or classes")


def _scored(entry: Entry, scoring: Scoring, choices: np.ndarray) -> _Scored:
    whole = np.ones((1, choices.shape[1]))
    observed = np.concatenate([scoring.of(run, whole) for run in entry.runs])
    return _Scored(observed, np.stack([scoring.of(run, choices) for run in entry.runs], 1))


@dataclass(frozen=True, eq=False)
class _Against:
    """The baseline and how differences to it are drawn; `pairs` and `drawn` are `(R, S)` choices of runs."""

    base: _Scored
    pairs: np.ndarray
    drawn: np.ndarray
    paired: bool
    level: float

    def differences(self, own: _Scored, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """By the name of the score."""
        gained = own.resampled.mean(1) - self.base.resampled.mean(1)
        images = percentiles(gained, self.level)
        both = percentiles(_drawn(own, self.drawn) - _drawn(self.base, self.pairs), self.level)
        singles = own.observed - self.base.observed if self.paired else None
        mean = own.observed.mean(0) - self.base.observed.mean(0)
        return {
            name: self._difference(mean[i], None if singles is None else singles[:, i], images[:, i], both[:, i])
            for i, name in enumerate(names)
        }

    def _difference(
        self, mean: float, values: np.ndarray | None, images: np.ndarray, both: np.ndarray
    ) -> dict[str, Any]:
        singles = [] if values is None else [float(value) for value in values]
        seeds = student_interval(singles, self.level) if len(singles) > 1 else None
        intervals = [images] if seeds is None else [images, np.array(seeds)]
        return {
            "mean": _number(mean),
            "sd": _number(float(np.std(singles, ddof=1))) if len(singles) > 1 else None,
            "values": [_number(value) for value in singles],
            "images": _pair(images),
            "seeds": None if seeds is None else _pair(np.array(seeds)),
            "both": _pair(both),
            "clear": all(bool(low > 0 or high < 0) for low, high in intervals),
        }


def _drawn(scored: _Scored, choices: np.ndarray) -> np.ndarray:
    """`(R, M)` means over the drawn runs of each choice of images."""
    return np.take_along_axis(scored.resampled, choices[..., None], 1).mean(1)


def _described(entry: Entry, own: _Scored, scoring: Scoring, base: _Against | None, baseline: Entry) -> dict[str, Any]:
    differences = base.differences(own, scoring.names) if base else {}
    figures = {name: _figure(own.observed[:, i], differences.get(name)) for i, name in enumerate(scoring.names)}
    return {
        "name": entry.name,
        "description": entry.description,
        "paper": entry.paper,
        "runs": len(entry.runs),
        "scores": {name: figures[name] for name in scoring.metrics},
        "trimap": [{"width": width, "miou": figures[f"trimap {width}"]} for width in scoring.widths],
        "classes": {name: figures[f"class {name}"] for name in scoring.classes},
        "curves": {name: [[list(point) for point in run] for run in runs] for name, runs in entry.curves.items()},
        "costs": dict(entry.costs),
        "extremes": extremes(entry, baseline) if base else {"wins": [], "losses": []},
    }


def _figure(values: np.ndarray, difference: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "mean": _number(values.mean()),
        "sd": _number(float(np.std(values, ddof=1))) if len(values) > 1 else None,
        "values": [_number(value) for value in values],
        "difference": difference,
    }


def extremes(entry: Entry, baseline: Entry, count: int = EXTREMES) -> dict[str, list[dict[str, Any]]]:
    """The images that add most to the difference of a method's mIoU to another's, and those that take most away; see
    `image_shares`.
    """
    gained = image_shares(entry.runs, baseline.runs)
    names = entry.runs[0].names
    order = [int(index) for index in np.argsort(-gained, kind="stable") if not math.isnan(gained[index])]

    def listed(indices: Sequence[int]) -> list[dict[str, Any]]:
        return [{"index": i, "name": names[i], "difference": float(gained[i])} for i in indices]

    return {
        "wins": listed([i for i in order[:count] if gained[i] > 0]),
        "losses": listed([i for i in reversed(order[-count:]) if gained[i] < 0]),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _pair(ends: np.ndarray) -> list[float] | None:
    return None if np.isnan(ends).any() else [float(end) for end in ends]
