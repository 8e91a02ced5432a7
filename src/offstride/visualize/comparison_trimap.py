"""Trimap curves: mIoU of the pixels near borders between classes, against the half-width of the band."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from offstride.visualize.comparison_charts import BOTTOM, LEFT, TOP, Axis, Chart, Series, is_filled
from offstride.visualize.comparison_numbers import change, known, trimap
from offstride.visualize.placing import Label, shorten, spread, text_width

Bands = Mapping[float, tuple[float, Mapping[str, Any]]]
"""Half-width -> number to draw, and the score it is of."""


def trimap_charts(report: Mapping[str, Any]) -> list[Chart]:
    """mIoU near borders against the half-width of the band, and its difference to the baseline."""
    entries = [(index, _by_width(report, entry)) for index, entry in enumerate(report["entries"])]
    scores = {index: {width: (it["mean"], it) for width, it in bands.items()} for index, bands in entries}
    changes = {
        index: {width: (found["mean"], it) for width, it in bands.items() if (found := change(it))}
        for index, bands in entries[1:]
    }
    charts = [
        _lines(report, "mIoU in the trimap, %", scores, zero=False),
        _lines(report, f"Difference to {report['baseline']}, points", changes, zero=True),
    ]
    return [chart for chart in charts if chart]


def _by_width(report: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[float, Mapping[str, Any]]:
    """Half-width -> score in that trimap, where there is one."""
    found = {width: trimap(entry, width) for width in report["widths"]}
    return {width: score for width, score in found.items() if score and known(score["mean"])}


def _lines(
    report: Mapping[str, Any],
    name: str,
    values: Mapping[int, Bands],
    *,
    zero: bool,
) -> Chart | None:
    """A chart of one line per entry, named at its right end."""
    values = {index: bands for index, bands in values.items() if bands}
    if not values:
        return None
    names = {index: shorten(report["entries"][index]["name"], 18) for index in values}
    width, height = 460.0, 330.0
    room = 22 + max(text_width(text) for text in names.values())
    end = _wider_end(values)
    left, right = (LEFT, width - room) if end else (room, width - LEFT)
    frame = (left, TOP, right, height - BOTTOM)
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
