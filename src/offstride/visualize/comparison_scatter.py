"""Accuracy against cost: a point per entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offstride.visualize.comparison_charts import BOTTOM, LEFT, TOP, Axis, Chart, Series, is_filled
from offstride.visualize.comparison_numbers import device_name, devices, known, metric_name
from offstride.visualize.placing import Label, place_labels, shorten

_WIDTH, _HEIGHT = 340.0, 300.0
_FRAME = (LEFT, TOP, _WIDTH - 10, _HEIGHT - BOTTOM)


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
    x_axis = Axis(min(across), max(across), _FRAME[0], _FRAME[2], logarithmic)
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
    found = []
    for index, (entry, price) in enumerate(zip(report["entries"], prices, strict=True)):
        score = entry["scores"].get(metric)
        if price and score and known(score["mean"]):
            sd = score.get("sd")
            found.append(_Point(index, score, 100 * score["mean"], 100 * sd if known(sd) else 0.0, price))
    return found


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
