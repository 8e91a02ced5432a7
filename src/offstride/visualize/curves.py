"""Learning curves as vector paths.

A plot is a square whose origin is top left: paths are in thousandths of its sides, ticks in per cent. The page
stretches it to any size and writes the labels beside it, so that line widths and letters do not change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offstride.visualize.tables import MINUS

Points = Sequence[tuple[float, float]]

_BINS = 120


@dataclass(frozen=True)
class Curve:
    """One quantity over the course of training, for every model.

    Args:
        name: What it is.
        lines: Name of a model -> its (step, value) points. Many points are averaged in bins, and a faint band shows
            their range.
        spec: Format of a value; `.1%` shows shares as per cent.
    """

    name: str
    lines: Mapping[str, Points]
    spec: str = ".2f"


@dataclass(frozen=True)
class Line:
    """A model's curve: SVG path data of the line, of the band and of the dots, and the last value."""

    model: str
    line: str
    band: str
    dots: str
    last: str


@dataclass(frozen=True)
class Plot:
    """A curve laid out: ticks are (per cent from left or top, text)."""

    name: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def lay_out(curve: Curve) -> Plot:
    """Choose the axes of a curve and draw its paths.

    Raises:
        ValueError: If no line has a finite point.
    """
    lines = {model: _bins(points) for model, points in curve.lines.items()}
    lines = {model: bins for model, bins in lines.items() if len(bins)}
    if not lines:
        raise ValueError(f"lines: expected at least one finite point in curve {curve.name!r}, got none")
    every = np.concatenate(list(lines.values()))
    x_ticks = axis_ticks(0, float(every[:, 0].max()), 5)
    y_ticks = axis_ticks(float(every[:, 1].min()), float(every[:, 1].max()), 4)
    ends = np.array([[0, y_ticks[-1]], [max(every[:, 0].max(), 1), y_ticks[0]]])
    return Plot(
        name=curve.name,
        lines=[_draw(model, bins, ends, curve.spec) for model, bins in lines.items()],
        x_ticks=[(_share(x, ends[:, 0]), f"{x:,.10g}") for x in x_ticks if 0 <= x <= ends[1, 0]],
        y_ticks=[(_share(y, ends[:, 1]), _label(y, curve.spec.endswith("%"))) for y in y_ticks],
    )


def _bins(points: Points) -> np.ndarray:
    """`(n, 4)` step, mean, minimum and maximum of at most `_BINS` bins of consecutive finite points."""
    table = np.array(sorted(points), dtype=np.float64).reshape(-1, 2)
    table = table[np.isfinite(table).all(1)]
    bins = np.array_split(table, min(len(table), _BINS)) if len(table) else []
    return np.array([(*part.mean(0), part[:, 1].min(), part[:, 1].max()) for part in bins]).reshape(-1, 4)


def axis_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`."""
    margin = 0 if high > low else max(abs(low), 1) / 2
    from matplotlib.ticker import MaxNLocator

    locator = MaxNLocator(nbins=count, steps=[1, 2, 2.5, 5, 10])
    return [float(tick) for tick in locator.tick_values(low - margin, high + margin)]


def _draw(model: str, bins: np.ndarray, ends: np.ndarray, spec: str) -> Line:
    x, y, low, high = (
        1000 * (column - ends[0, axis]) / (ends[1, axis] - ends[0, axis])
        for column, axis in zip(bins.T, (0, 1, 1, 1), strict=True)
    )
    places = list(zip(x, y, strict=True))
    band = [*zip(x, low, strict=True), *zip(x[::-1], high[::-1], strict=True)] if (low != high).any() else []
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places) if len(places) <= 40 else ""
    return Line(model, _path(places), _path(band), dots, last=format(bins[-1, 1], spec))


def _path(places: Iterable[tuple[float, float]]) -> str:
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return f"M{steps}" if steps else ""


def _share(value: float, ends: np.ndarray) -> float:
    return float(100 * (value - ends[0]) / (ends[1] - ends[0]))


def _label(value: float, percent: bool) -> str:
    return (f"{100 * value:g}%" if percent else f"{value:g}").replace("-", MINUS)
