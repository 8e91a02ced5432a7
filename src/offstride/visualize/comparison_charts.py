"""Charts of a comparison as vector drawings.

Lengths are in the units of the drawing, y points down. Points of entries that differ clearly from the baseline are
filled, others are hollow.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from offstride.visualize.comparison_numbers import verdict
from offstride.visualize.curves import axis_ticks
from offstride.visualize.placing import Label
from offstride.visualize.tables import MINUS

LEFT, TOP, BOTTOM = 44.0, 14.0, 46.0
"""Room for the scales and above a chart."""


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

    def __init__(self, low: float, high: float, start: float, stop: float, logarithmic: bool = False):
        self.logarithmic = logarithmic
        low, high = self._scaled(low), self._scaled(high)
        margin = 0.08 * (high - low) or 0.05 * abs(low) or 1.0
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
    found = [
        [m * 10.0**p for p in powers for m in choice if low <= math.log10(m * 10.0**p) <= high] for choice in choices
    ]
    return next((sorted(set(values)) for values in found if len(set(values)) >= 3), found[-1])
