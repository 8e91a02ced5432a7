"""Charts of a comparison as vector drawings: forest plots, accuracy against cost, trimap curves, learning curves.

Scatter and trimap charts are in the units of the drawing, y points down; places of a forest plot are in per cent of
its width. Points of entries that differ clearly from the baseline are filled, others are hollow.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offstride.visualize.comparison.numbers import (
    Verdict,
    change,
    costs,
    device_cost,
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

Dot = tuple[float, float, bool]
"""(x, y, filled)."""
Value = tuple[int, float, bool]
"""(number of the half-width, value, whether its dot is filled)."""


@dataclass(frozen=True)
class Series:
    """What is drawn of one entry: `index` is its number, `line` and `bars` are path data.

    The label of a line ends or begins at its place, that of a point has its middle there.
    """

    index: int
    dots: Sequence[Dot]
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
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    series: list[Series]
    scale_right: bool = False
    zero: float | None = None


class Axis:
    """Numbers to places: `start` and `stop` are a little beyond the least and the greatest value."""

    def __init__(self, values: Sequence[float], start: float, stop: float, *, logarithmic=False, margin=0.08):
        self.logarithmic = logarithmic
        low, high = self._scaled(min(values)), self._scaled(max(values))
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
    """One entry: its number, the places of its mean, its intervals (low, high) and its runs; `text` says the mean.

    Intervals that are not known are empty.
    """

    index: int
    name: str
    verdict: Verdict
    text: str
    mean: float | None
    images: Sequence[float]
    both: Sequence[float]
    runs: Sequence[float]


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
    scores = [entry["scores"].get(metric) for entry in report["entries"]]
    differences = [_percentages(change(score) or {}) for score in scores]
    every = [value for parts in differences[1:] for part in parts.values() for value in part]
    if not every:
        return None
    axis = Axis([0.0, *every], 0, 100, margin=0.05)
    rows = []
    for index, (entry, score, parts) in enumerate(zip(report["entries"], scores, differences, strict=True)):
        places = {kind: [axis.place(value) for value in part] for kind, part in parts.items()}
        images, both = (places[kind] if len(places[kind]) == 2 else () for kind in ("images", "both"))
        mean, runs = next(iter(places["mean"]), None), places["values"]
        rows.append(ForestRow(index, entry["name"], verdict(score), signed(score), mean, images, both, runs))
    return Forest(metric_name(metric), axis.place(0), axis.ticks(5, sign=True), rows[1:])


def _percentages(difference: Mapping[str, Any]) -> dict[str, list[float]]:
    """All numbers of a difference that are drawn; those that are not known are left out."""
    parts = {kind: difference.get(kind) or () for kind in ("values", "images", "both")}
    parts["mean"] = [difference.get("mean")]
    return {kind: [100 * value for value in part if known(value)] for kind, part in parts.items()}


def cost_charts(report: Mapping[str, Any]) -> list[Chart]:
    """mIoU and boundary IoU against latency on each device and against parameters; those with two points or more."""
    entries = report["entries"]
    prices = {
        f"Latency on {device_name(entries, device)}, ms": [_latency(device_cost(entry, device)) for entry in entries]
        for device in devices(entries)
    }
    counts = [costs(entry).get("parameters") for entry in entries]
    prices["Parameters, million"] = [[] if count is None else [count / 1e6] for count in counts]
    metrics = [metric for metric in ("miou", "boundary_iou") if metric in report["metrics"]]
    charts = [_scatter(report, metric, x_name, values) for metric in metrics for x_name, values in prices.items()]
    return [chart for chart in charts if chart]


def _latency(cost: Mapping[str, Any]) -> list[float]:
    """Milliseconds: the median, and the quartiles if they are known."""
    median, ends = cost.get("latency"), cost.get("quartiles") or ()
    values = [median, *ends] if all(map(known, ends)) else [median]
    return [1e3 * value for value in values if known(value)] if known(median) else []


def _scatter(report: Mapping[str, Any], metric: str, x_name: str, prices: Sequence[list[float]]) -> Chart | None:
    """A chart of one point per entry, with its sd upwards and its quartiles sideways.

    Args:
        report: The comparison.
        metric: What is shown upwards.
        x_name: What is shown sideways.
        prices: Cost of each entry and its quartiles; empty where it is not known.
    """
    scores = [entry["scores"].get(metric) for entry in report["entries"]]
    heights = [_mean_and_ends(score or {}) for score in scores]
    drawn = [index for index, (price, height) in enumerate(zip(prices, heights, strict=True)) if price and height]
    if len(drawn) < 2:
        return None
    across = [value for index in drawn for value in prices[index]]
    logarithmic = min(across) > 0 and max(across) / min(across) > 2
    left, top, right, bottom = _FRAME
    x_axis = Axis(across, left, right, logarithmic=logarithmic)
    y_axis = Axis([value for index in drawn for value in heights[index]], bottom, top)
    dots = [
        (x_axis.place(prices[index][0]), y_axis.place(heights[index][0]), _is_filled(index, scores[index]))
        for index in drawn
    ]
    names = [shorten(report["entries"][index]["name"]) for index in drawn]
    labels = place_labels([(x, y) for x, y, _ in dots], names, _FRAME)
    series = []
    for index, dot, label in zip(drawn, dots, labels, strict=True):
        up, sideways = list(map(y_axis.place, heights[index][1:])), list(map(x_axis.place, prices[index][1:]))
        bars = f"M{dot[0]:.1f} {up[0]:.1f}V{up[1]:.1f}" if up else ""
        bars += f"M{sideways[0]:.1f} {dot[1]:.1f}H{sideways[1]:.1f}" if sideways else ""
        series.append(Series(index, [dot], "", bars, label))
    return Chart(
        name=f"{metric_name(metric)}, %",
        x_name=x_name + (" (logarithmic)" if logarithmic else ""),
        width=_WIDTH,
        height=_HEIGHT,
        frame=_FRAME,
        x_ticks=x_axis.ticks(5),
        y_ticks=y_axis.ticks(5),
        series=series,
    )


def _mean_and_ends(score: Mapping[str, Any]) -> list[float]:
    """Per cent: the mean, and one sd below and above it if there is one; empty where nothing is known."""
    if not known(score.get("mean")):
        return []
    mean, sd = 100 * score["mean"], 100 * (score["sd"] if known(score.get("sd")) else 0.0)
    return [mean, mean - sd, mean + sd] if sd else [mean]


def _is_filled(index: int, score: Mapping[str, Any] | None) -> bool:
    return index == 0 or verdict(score) in ("better", "worse")


def trimap_charts(report: Mapping[str, Any]) -> list[Chart]:
    """mIoU near borders against the half-width of the band, and its difference to the baseline."""
    means: dict[int, list[Value]] = {}
    changes: dict[int, list[Value]] = {}
    for index, entry in enumerate(report["entries"]):
        scores = [(step, trimap(entry, width) or {}) for step, width in enumerate(report["widths"])]
        scores = [(step, score, _is_filled(index, score)) for step, score in scores if known(score.get("mean"))]
        means[index] = [(step, 100 * score["mean"], filled) for step, score, filled in scores]
        changes[index] = [
            (step, 100 * difference["mean"], filled)
            for step, score, filled in scores
            if index and (difference := change(score))
        ]
    charts = [
        _lines(report, "mIoU in the trimap, %", means, zero=False),
        _lines(report, f"Difference to {report['baseline']}, points", changes, zero=True),
    ]
    return [chart for chart in charts if chart]


def _lines(report: Mapping[str, Any], name: str, lines: Mapping[int, Sequence[Value]], *, zero: bool) -> Chart | None:
    """A chart of one line per entry, named at its right end, or at its left one if lines lie further apart there.

    Args:
        report: The comparison.
        name: What is shown.
        lines: Number of the entry -> its values from left to right.
        zero: Whether to draw a line at zero, and signs on the scale.
    """
    lines = {index: line for index, line in lines.items() if line}
    if not lines:
        return None
    names = {index: shorten(report["entries"][index]["name"], 18) for index in lines}
    width, height = 460.0, 330.0
    room = 22 + max(map(text_width, names.values()))
    first, last = ([line[end][1] for line in lines.values()] for end in (0, -1))
    end, side = (0, -1) if max(first) - min(first) > max(last) - min(last) else (-1, 1)
    left, right = (_LEFT, width - room) if end else (room, width - _LEFT)
    top, bottom = _TOP, height - _BOTTOM
    axis = Axis([value for line in lines.values() for _, value, _ in line] + [0.0] * zero, bottom, top)
    gaps = len(report["widths"]) - 1
    steps = [left + 12 + (right - left - 24) * (step / gaps if gaps else 0.5) for step in range(gaps + 1)]
    heights = spread([axis.place(line[end][1]) for line in lines.values()], 15, top, bottom)
    series = []
    for (index, line), y in zip(lines.items(), heights, strict=True):
        dots = [(steps[step], axis.place(value), filled) for step, value, filled in line]
        near = (right if end else left) + 16 * side  # the edge of the name that is nearer to the line
        leader = (dots[end][0] + 6 * side, dots[end][1], near - 3 * side, y)
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in dots)
        series.append(Series(index, dots, path, "", Label(names[index], near, y + 4, leader)))
    return Chart(
        name=name,
        x_name="half-width of the band around borders, pixels",
        width=width,
        height=height,
        frame=(left, top, right, bottom),
        x_ticks=[(place, f"{band:g}") for place, band in zip(steps, report["widths"], strict=True)],
        y_ticks=axis.ticks(5, sign=zero),
        series=series,
        scale_right=not end,
        zero=axis.place(0) if zero else None,
    )


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
    runs = {}
    for index, entry in enumerate(report["entries"]):
        curves = [_clean(points, scale) for points in (entry.get("curves") or {}).get(key) or ()]
        if any(curves):
            runs[index] = [points for points in curves if points]
    if not runs:
        return None
    named = {f"{index} mean": _mean(curves) for index, curves in runs.items()}
    named |= {f"{index} {run}": points for index, curves in runs.items() for run, points in enumerate(curves)}
    plot = lay_out(Curve(name, named, spec))
    lines = {line.model: line for line in plot.lines}
    panels = [
        CurvePanel(
            index=index,
            name=report["entries"][index]["name"],
            mean=lines[f"{index} mean"],
            runs=[lines[f"{index} {run}"] for run in range(len(curves))] if len(curves) > 1 else [],
            baseline=lines.get("0 mean") if index else None,
        )
        for index, curves in runs.items()
    ]
    return CurvePanels(name, plot.x_ticks[:: max(len(plot.x_ticks) - 1, 1)], plot.y_ticks, panels)


def _clean(points: Sequence[Sequence[float | None]] | None, scale: float) -> list[tuple[float, float]]:
    return [(step, scale * value) for step, value in points or () if step is not None and known(value)]


def _mean(runs: Sequence[Points]) -> Points:
    """The mean at every step that all runs have got to; of runs without a common step, over those there are."""
    values_at: dict[float, list[float]] = defaultdict(list)
    for points in runs:
        for step, value in points:
            values_at[step].append(value)
    common = {step: values for step, values in values_at.items() if len(values) == len(runs)} or values_at
    return [(step, sum(values) / len(values)) for step, values in sorted(common.items())]
