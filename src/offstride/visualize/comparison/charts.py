"""Charts of a comparison as vector drawings: forest plots, accuracy against cost, trimap curves, learning curves.

Scatter and trimap charts are in the units of the drawing, y points down; places of a forest plot are in per cent of
its width. Points of entries that differ clearly from the baseline are filled, others are hollow.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from offstride.visualize.comparison.numbers import (
    Verdict,
    change,
    device_name,
    devices,
    known,
    metric_name,
    signed,
    trimap,
    verdict,
)
from offstride.visualize.curves import Curve, Line, Points, axis_ticks, lay_out
from offstride.visualize.placing import Label, place_labels, shorten, spread, text_width
from offstride.visualize.tables import MINUS

_LEFT, _TOP, _BOTTOM = 44.0, 14.0, 46.0
"""Room for the scales and above a chart."""
_WIDTH, _HEIGHT = 340.0, 300.0
_FRAME = (_LEFT, _TOP, _WIDTH - 10, _HEIGHT - _BOTTOM)
"""A scatter chart, and where its points are."""

Bands = Mapping[float, tuple[float, Mapping[str, Any]]]
"""Half-width -> number to draw, and the score it is of."""
Span = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """What is drawn of one entry: `index` is its number, `dots` are (x, y, filled), `line` and `bars` are path data.

    The label of a line ends or begins at its place, that of a point has its middle there.
    """

    index: int
    dots: list[tuple[float, float, bool]]
    line: str
    bars: str
    label: Label


@dataclass(frozen=True)
class Chart:
    """A drawing: ticks are (place, text), `frame` is (left, top, right, bottom), `zero` the height of a zero line.

    The vertical scale is on the left, or with `scale_right` on the right, as names of lines are on the other side.
    """

    name: str
    x_name: str
    width: float
    height: float
    frame: tuple[float, float, float, float]
    scale_right: bool
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    zero: float | None
    series: list[Series]


def is_filled(index: int, score: Mapping[str, Any]) -> bool:
    """Whether the point of an entry is filled: that of the baseline is."""
    return index == 0 or verdict(score) in ("better", "worse")


class Axis:
    """Numbers to places: `start` and `stop` are a little beyond the least and the greatest number."""

    def __init__(self, low: float, high: float, start: float, stop: float, *, logarithmic=False, margin=0.08):
        self.logarithmic = logarithmic
        low, high = self._scaled(low), self._scaled(high)
        margin = margin * (high - low) or 0.05 * abs(low) or 1.0
        self.low, self.high, self.start, self.stop = low - margin, high + margin, start, stop

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def place(self, value: float) -> float:
        """Where a number is."""
        share = (self._scaled(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, number: int, *, sign: bool = False) -> list[tuple[float, str]]:
        """(place, text) of the round numbers on the axis."""
        values = _decades(self.low, self.high) if self.logarithmic else axis_ticks(self.low, self.high, number)
        spec = "+g" if sign else "g"
        return [
            (self.place(value), format(value, spec if value else "g").replace("-", MINUS))
            for value in (round(value, 10) for value in values)
            if self.low <= self._scaled(value) <= self.high
        ]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten and their multiples, few or many, as the room allows; ends are logarithms."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    choices = ((1, 10), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))
    ticks = [
        [m * 10.0**p for p in powers for m in choice if low <= math.log10(m * 10.0**p) <= high] for choice in choices
    ]
    return next((sorted(set(values)) for values in ticks if len(set(values)) >= 3), ticks[-1])


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
    changes = {index: change(score) for index, score in scores.items()}
    every = [100 * value for it in changes.values() if it for value in _numbers(it)]
    if not every:
        return None
    axis = Axis(min(0.0, *every), max(0.0, *every), 0, 100, margin=0.05)
    return Forest(
        name=metric_name(metric),
        zero=axis.place(0),
        ticks=axis.ticks(5, sign=True),
        rows=[
            ForestRow(
                index=index,
                name=entry["name"],
                verdict=verdict(scores[index]),
                text=signed(scores[index]),
                mean=axis.place(100 * it["mean"]) if it else None,
                images=_span(it, "images", axis),
                both=_span(it, "both", axis),
                runs=[axis.place(100 * value) for value in it.get("values") or () if known(value)] if it else [],
            )
            for index, entry in entries
            for it in (changes[index],)
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


def _span(difference: Mapping[str, Any] | None, kind: str, axis: Axis) -> Span | None:
    ends = (difference or {}).get(kind)
    return (axis.place(100 * ends[0]), axis.place(100 * ends[1])) if ends and all(map(known, ends)) else None


@dataclass(frozen=True)
class _Price:
    """A cost, and its quartiles if they are known."""

    value: float
    quartiles: Sequence[float] = ()


@dataclass(frozen=True)
class _Point:
    """An entry that has both: its number, its score, mean and sd in per cent, and its cost."""

    index: int
    score: Mapping[str, Any]
    mean: float
    sd: float
    price: _Price


def cost_charts(report: Mapping[str, Any]) -> list[Chart]:
    """mIoU and boundary IoU against latency on each device and against parameters; those with two points or more."""
    entries = report["entries"]
    prices = {
        f"Latency on {device_name(entries, device)}, ms": [_of_device(entry, device, 1e3) for entry in entries]
        for device in devices(entries)
    }
    counts = [(entry.get("costs") or {}).get("parameters") for entry in entries]
    prices["Parameters, million"] = [None if value is None else _Price(value / 1e6) for value in counts]
    metrics = [metric for metric in ("miou", "boundary_iou") if metric in report["metrics"]]
    charts = [_scatter(report, metric, x_name, values) for metric in metrics for x_name, values in prices.items()]
    return [chart for chart in charts if chart]


def _of_device(entry: Mapping[str, Any], device: str, scale: float) -> _Price | None:
    """Latency and its quartiles."""
    cost = ((entry.get("costs") or {}).get("devices") or {}).get(device) or {}
    if not known(cost.get("latency")):
        return None
    ends = cost.get("quartiles") or ()
    return _Price(scale * cost["latency"], [scale * end for end in ends] if all(map(known, ends)) else ())


def _scatter(report: Mapping[str, Any], metric: str, x_name: str, prices: Sequence[_Price | None]) -> Chart | None:
    """A chart of one point per entry, with its sd upwards and its quartiles sideways."""
    points = _points(report, metric, prices)
    if len(points) < 2:
        return None
    across = [value for it in points for value in (it.price.value, *it.price.quartiles)]
    logarithmic = min(across) > 0 and max(across) / min(across) > 2
    x_axis = Axis(min(across), max(across), _FRAME[0], _FRAME[2], logarithmic=logarithmic)
    y_axis = Axis(min(it.mean - it.sd for it in points), max(it.mean + it.sd for it in points), _FRAME[3], _FRAME[1])
    return Chart(
        name=f"{metric_name(metric)}, %",
        x_name=x_name + (" (logarithmic)" if logarithmic else ""),
        width=_WIDTH,
        height=_HEIGHT,
        frame=_FRAME,
        scale_right=False,
        x_ticks=x_axis.ticks(5),
        y_ticks=y_axis.ticks(5),
        zero=None,
        series=_series(report, points, x_axis, y_axis),
    )


def _points(report: Mapping[str, Any], metric: str, prices: Sequence[_Price | None]) -> list[_Point]:
    points = []
    for index, (entry, price) in enumerate(zip(report["entries"], prices, strict=True)):
        score = entry["scores"].get(metric)
        if price and score and known(score["mean"]):
            sd = score.get("sd")
            points.append(_Point(index, score, 100 * score["mean"], 100 * sd if known(sd) else 0.0, price))
    return points


def _series(report: Mapping[str, Any], points: Sequence[_Point], x_axis: Axis, y_axis: Axis) -> list[Series]:
    places = [(x_axis.place(it.price.value), y_axis.place(it.mean)) for it in points]
    left, top, right, bottom = _FRAME
    names = [shorten(report["entries"][it.index]["name"]) for it in points]
    labels = place_labels([(x - left, y - top) for x, y in places], names, right - left, bottom - top)
    series = []
    for it, (x, y), label in zip(points, places, labels, strict=True):
        bars = f"M{x:.1f} {y_axis.place(it.mean - it.sd):.1f}V{y_axis.place(it.mean + it.sd):.1f}" if it.sd else ""
        if it.price.quartiles:
            low, high = map(x_axis.place, it.price.quartiles)
            bars += f"M{low:.1f} {y:.1f}H{high:.1f}"
        series.append(Series(it.index, [(x, y, is_filled(it.index, it.score))], "", bars, _moved(label)))
    return series


def _moved(label: Label) -> Label:
    """From the inside of the frame to the drawing."""
    x, y = _FRAME[:2]
    leader = label.leader and (label.leader[0] + x, label.leader[1] + y, label.leader[2] + x, label.leader[3] + y)
    return Label(label.text, label.x + x, label.y + y, leader)


def trimap_charts(report: Mapping[str, Any]) -> list[Chart]:
    """mIoU near borders against the half-width of the band, and its difference to the baseline."""
    entries = [(index, _by_width(report, entry)) for index, entry in enumerate(report["entries"])]
    scores = {index: {width: (it["mean"], it) for width, it in bands.items()} for index, bands in entries}
    changes = {
        index: {width: (difference["mean"], it) for width, it in bands.items() if (difference := change(it))}
        for index, bands in entries[1:]
    }
    charts = [
        _lines(report, "mIoU in the trimap, %", scores, zero=False),
        _lines(report, f"Difference to {report['baseline']}, points", changes, zero=True),
    ]
    return [chart for chart in charts if chart]


def _by_width(report: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[float, Mapping[str, Any]]:
    """Half-width -> score in that trimap, where there is one."""
    scores = {width: trimap(entry, width) for width in report["widths"]}
    return {width: score for width, score in scores.items() if score and known(score["mean"])}


def _lines(report: Mapping[str, Any], name: str, values: Mapping[int, Bands], *, zero: bool) -> Chart | None:
    """A chart of one line per entry, named at its right end."""
    values = {index: bands for index, bands in values.items() if bands}
    if not values:
        return None
    names = {index: shorten(report["entries"][index]["name"], 18) for index in values}
    width, height = 460.0, 330.0
    room = 22 + max(text_width(text) for text in names.values())
    end = _wider_end(values)
    left, right = (_LEFT, width - room) if end else (room, width - _LEFT)
    frame = (left, _TOP, right, height - _BOTTOM)
    every = [100 * value for bands in values.values() for value, _ in bands.values()] + ([0.0] if zero else [])
    axis = Axis(min(every), max(every), frame[3], frame[1])
    steps = {band: left + 12 + (right - left - 24) * _share(i, report) for i, band in enumerate(report["widths"])}
    ends = {index: axis.place(100 * list(bands.values())[end][0]) for index, bands in values.items()}
    heights = dict(zip(ends, spread(list(ends.values()), 15, frame[1], frame[3]), strict=True))
    series = []
    for index, bands in values.items():
        dots = [(steps[band], axis.place(100 * value), is_filled(index, it)) for band, (value, it) in bands.items()]
        label = _end_label(names[index], dots[end], right + 16 if end else left - 16, heights[index])
        series.append(Series(index, dots, "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in dots), "", label))
    return Chart(
        name=name,
        x_name="half-width of the band around borders, pixels",
        width=width,
        height=height,
        frame=frame,
        scale_right=not end,
        x_ticks=[(place, f"{band:g}") for band, place in steps.items()],
        y_ticks=axis.ticks(5, sign=zero),
        zero=axis.place(0) if zero else None,
        series=series,
    )


def _wider_end(values: Mapping[int, Bands]) -> Literal[0, -1]:
    """The end, first or last, at which lines lie further apart: names fit there."""
    first, last = ([list(bands.values())[end][0] for bands in values.values()] for end in (0, -1))
    return 0 if max(first) - min(first) > max(last) - min(last) else -1


def _end_label(text: str, dot: tuple[float, float, bool], x: float, y: float) -> Label:
    """A name beside its line; `x` is the edge of the text that is nearer to it."""
    side = math.copysign(1, x - dot[0])
    return Label(text, x, y + 4, (dot[0] + 6 * side, dot[1], x - 3 * side, y))


def _share(position: int, report: Mapping[str, Any]) -> float:
    last = len(report["widths"]) - 1
    return position / last if last else 0.5


@dataclass(frozen=True)
class CurvePanel:
    """One entry: its mean over runs, its single runs (none where there is one), and the baseline's mean."""

    index: int
    name: str
    mean: Line
    runs: list[Line]
    baseline: Line | None


@dataclass(frozen=True)
class CurvePanels:
    """A quantity over training; ticks are (per cent from left or top, text)."""

    name: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    panels: list[CurvePanel]


def curve_panels(report: Mapping[str, Any]) -> list[CurvePanels]:
    """Plots of what was written down during training; none where nothing was."""
    kinds = (("miou", "Validation mIoU, %", 100.0, ".1f"), ("loss", "Training loss, with location terms", 1.0, ".3f"))
    plots = [_panels(report, *kind) for kind in kinds]
    return [plot for plot in plots if plot]


def _panels(report: Mapping[str, Any], key: str, name: str, scale: float, spec: str) -> CurvePanels | None:
    runs = {
        index: [_clean(points, scale) for points in (entry.get("curves") or {}).get(key) or ()]
        for index, entry in enumerate(report["entries"])
    }
    runs = {index: drawn for index, them in runs.items() if (drawn := [points for points in them if points])}
    if not runs:
        return None
    named = {f"{index} mean": _mean(them) for index, them in runs.items()}
    named |= {f"{index} {run}": points for index, them in runs.items() for run, points in enumerate(them)}
    drawn = lay_out(Curve(name, named, spec))
    lines = {line.model: line for line in drawn.lines}
    panels = [
        CurvePanel(
            index=index,
            name=report["entries"][index]["name"],
            mean=lines[f"{index} mean"],
            runs=[lines[f"{index} {run}"] for run in range(len(them))] if len(them) > 1 else [],
            baseline=lines.get("0 mean") if index else None,
        )
        for index, them in runs.items()
    ]
    return CurvePanels(name, drawn.x_ticks[:: max(len(drawn.x_ticks) - 1, 1)], drawn.y_ticks, panels)


def _clean(points: Sequence[Sequence[float | None]] | None, scale: float) -> list[tuple[float, float]]:
    return [
        (step, scale * value)
        for step, value in points or ()
        if step is not None and value is not None and math.isfinite(value)
    ]


def _mean(runs: Sequence[Points]) -> Points:
    """The mean at every step that all runs have got to; of runs without a common step, over those there are."""
    values_at: dict[float, list[float]] = defaultdict(list)
    for points in runs:
        for step, value in points:
            values_at[step].append(value)
    common = {step: values for step, values in values_at.items() if len(values) == len(runs)} or values_at
    return [(step, sum(values) / len(values)) for step, values in sorted(common.items())]
