"""Paired differences to the baseline, as a forest plot: one row per entry, places in per cent of the plot's width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offstride.visualize.comparison_numbers import Verdict, change, known, metric_name, signed, verdict
from offstride.visualize.curves import axis_ticks
from offstride.visualize.tables import MINUS

Span = tuple[float, float]


@dataclass(frozen=True)
class ForestRow:
    """One entry: its number, the place of its mean, of its intervals, and of the single runs; `text` says the mean."""

    index: int
    name: str
    verdict: Verdict
    text: str
    mean: float | None
    images: Span | None
    both: Span | None
    runs: list[float]


@dataclass(frozen=True)
class Forest:
    """The differences in one metric: ticks are (per cent, text), `zero` is the place of no difference."""

    name: str
    zero: float
    ticks: list[tuple[float, str]]
    rows: list[ForestRow]


def forests(report: Mapping[str, Any]) -> list[Forest]:
    """A plot per metric in which there is any difference."""
    plots = [_forest(report, metric) for metric in report["metrics"]]
    return [plot for plot in plots if plot]


def _forest(report: Mapping[str, Any], metric: str) -> Forest | None:
    entries = list(enumerate(report["entries"]))[1:]
    scores = {index: entry["scores"].get(metric) for index, entry in entries}
    found = {index: change(score) for index, score in scores.items()}
    every = [100 * value for it in found.values() if it for value in _numbers(it)]
    if not every:
        return None
    low, high = min(0.0, *every), max(0.0, *every)
    margin = 0.05 * (high - low) or 1.0
    low, high = low - margin, high + margin

    def place(value: float) -> float:
        return 100 * (100 * value - low) / (high - low)

    ticks = [round(tick, 10) for tick in axis_ticks(low, high, 5) if low <= tick <= high]
    return Forest(
        name=metric_name(metric),
        zero=place(0),
        ticks=[(place(tick / 100), format(tick, "+g" if tick else "g").replace("-", MINUS)) for tick in ticks],
        rows=[
            ForestRow(
                index=index,
                name=entry["name"],
                verdict=verdict(scores[index]),
                text=signed(scores[index]),
                mean=place(it["mean"]) if it else None,
                images=_span(it, "images", place),
                both=_span(it, "both", place),
                runs=[place(value) for value in it.get("values") or () if known(value)] if it else [],
            )
            for index, entry in entries
            for it in (found[index],)
        ],
    )


def _numbers(difference: Mapping[str, Any]) -> list[float]:
    """All numbers of a difference that are drawn."""
    parts: Sequence[Sequence[float | None]] = [
        [difference["mean"]],
        difference.get("values") or (),
        difference.get("images") or (),
        difference.get("both") or (),
    ]
    return [value for part in parts for value in part if value is not None and known(value)]


def _span(difference: Mapping[str, Any] | None, kind: str, place) -> Span | None:
    ends = (difference or {}).get(kind)
    return (place(ends[0]), place(ends[1])) if ends and all(map(known, ends)) else None
