"""Runs of several methods as one report: plain values, from which the page, the Markdown and the JSON are made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offstride.compare.counts import ImageCounts
from offstride.compare.statistics import (
    ScoreNames,
    image_choices,
    image_shares,
    percentiles,
    run_choices,
    student_interval,
)
from offstride.data import ClassSet

EXTREMES = 3
"""Number of images shown where a method wins, and as many where it loses."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A method and its runs.

    Args:
        name: Short name.
        runs: Counts of every run, all on the same images, in the order of the seeds if there are seeds.
        description: One line.
        paper: Source.
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
    """Scores of the runs of an entry: `observed` `(S, M)`; means over its runs for drawn `images`, and for `both` drawn
    images and drawn runs, `(R, M)`.
    """

    observed: np.ndarray
    images: np.ndarray
    both: np.ndarray


def compare(
    entries: Sequence[Entry], classes: ClassSet, resampling: Resampling = Resampling(), *, paired: bool = True
) -> dict[str, Any]:
    """Compare methods with the first of them.

    Args:
        entries: The methods, each with one run or more; the first is the baseline.
        classes: Of the images.
        resampling: How intervals are made.
        paired: Whether runs with the same index form pairs: same seed, so same initial weights and crops. Otherwise
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
    scoring = ScoreNames(classes.names, classes.thin, first.widths)
    random = np.random.default_rng(resampling.seed)
    choices = image_choices(len(first), resampling.resamples, resampling.block, random)
    pairs = run_choices(len(entries[0].runs), resampling.resamples, random)
    drawn = [pairs if paired else run_choices(len(entry.runs), resampling.resamples, random) for entry in entries]
    scored = [_scored(*one, scoring, choices) for one in zip(entries, [pairs, *drawn[1:]], strict=True)]
    differences = [{}, *(_differences(own, scored[0], scoring.names, resampling.level, paired) for own in scored[1:])]
    described = [
        _described(entry, own, scoring, of_scores, entries[0])
        for entry, own, of_scores in zip(entries, scored, differences, strict=True)
    ]
    return {
        "baseline": entries[0].name,
        "metrics": scoring.metrics,
        "widths": list(scoring.widths),
        "level": resampling.level,
        "resamples": resampling.resamples,
        "block": resampling.block,
        "paired": paired,
        "entries": described,
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


def _scored(entry: Entry, drawn: np.ndarray, scoring: ScoreNames, choices: np.ndarray) -> _Scored:
    """From `(R, S)` choices of runs and `(R, N)` of images."""
    whole = np.ones((1, choices.shape[1]))
    observed = np.concatenate([scoring.of(run, whole) for run in entry.runs])
    resampled = np.stack([scoring.of(run, choices) for run in entry.runs], 1)  # (R, S, M)
    return _Scored(observed, resampled.mean(1), np.take_along_axis(resampled, drawn[..., None], 1).mean(1))


def _differences(
    own: _Scored, base: _Scored, names: Sequence[str], level: float, paired: bool
) -> dict[str, dict[str, Any]]:
    """Differences to the baseline by the name of the score."""
    mean = own.observed.mean(0) - base.observed.mean(0)
    singles = (own.observed - base.observed).T.tolist() if paired else [[]] * len(names)
    images = percentiles(own.images - base.images, level)
    both = percentiles(own.both - base.both, level)
    result = {}
    for i, name in enumerate(names):
        seeds = student_interval(singles[i], level) if len(singles[i]) > 1 else None
        intervals = [images[:, i]] if seeds is None else [images[:, i], seeds]
        result[name] = {
            **_moments(mean[i], singles[i]),
            "images": _pair(images[:, i]),
            "seeds": None if seeds is None else _pair(seeds),
            "both": _pair(both[:, i]),
            "clear": all(bool(low > 0 or high < 0) for low, high in intervals),
        }
    return result


def _described(
    entry: Entry, own: _Scored, scoring: ScoreNames, differences: Mapping[str, dict[str, Any]], baseline: Entry
) -> dict[str, Any]:
    figures = {
        name: {**_moments(values.mean(), values), "difference": differences.get(name)}
        for name, values in zip(scoring.names, own.observed.T, strict=True)
    }
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
        "extremes": {"wins": [], "losses": []} if entry is baseline else extremes(entry, baseline),
    }


def _moments(mean: float, values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    sd = _number(float(np.std(values, ddof=1))) if len(values) > 1 else None
    return {"mean": _number(mean), "sd": sd, "values": [_number(value) for value in values]}


def extremes(entry: Entry, baseline: Entry, count: int = EXTREMES) -> dict[str, list[dict[str, Any]]]:
    """The images that add most to, and subtract most from, the difference of two methods' mIoU; see `image_shares`."""
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


def _pair(ends: Sequence[float] | np.ndarray) -> list[float] | None:
    return None if np.isnan(ends).any() else [float(end) for end in ends]
