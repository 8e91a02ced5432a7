"""Table rows: formatted numbers, the best ones marked, and the difference that a second model makes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"

Better = Literal["high", "low", "none"]


@dataclass(frozen=True)
class MetricRow:
    """One quantity, for every model.

    Args:
        name: What it is.
        values: One number per model, NaN where there is none.
        spec: Format of a number; `.1%` shows shares as per cent.
        unit: Shown beside the name; not needed for per cent.
        better: Whether high or low values are better.
        note: A remark in small print.
    """

    name: str
    values: Sequence[float]
    spec: str = ".1%"
    unit: str = ""
    better: Better = "high"
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A formatted number, and whether it is among the best of its row."""

    text: str
    best: bool


@dataclass(frozen=True)
class Difference:
    """The second of two models minus the first, and whether that is an improvement."""

    text: str
    verdict: Literal["good", "bad", "even"]


def cells(row: MetricRow) -> list[Cell]:
    """Format the values of a row. The best are marked, unless all texts are equal."""
    texts = [_number(value, row.spec) for value in row.values]
    known = [value for value in row.values if math.isfinite(value)]
    if row.better == "none" or len(set(texts)) == 1 or not known:
        return [Cell(text, False) for text in texts]
    best = _number(max(known) if row.better == "high" else min(known), row.spec)
    return [Cell(text, text == best) for text in texts]


def difference(row: MetricRow) -> Difference | None:
    """The difference between two models, in the row's unit; None unless there are two."""
    if len(row.values) != 2:
        return None
    change = row.values[1] - row.values[0]
    text = _number(change, "+" + row.spec)
    zero = _number(0.0, "+" + row.spec)
    if not math.isfinite(change) or text in (zero, zero.replace("+", MINUS)):
        return Difference(NOTHING if math.isnan(change) else "±0", "even")
    if row.better == "none":
        return Difference(text, "even")
    return Difference(text, "good" if (change > 0) == (row.better == "high") else "bad")


def _number(value: float, spec: str) -> str:
    """A number with a true minus sign and without its per cent sign, a dash for NaN."""
    return NOTHING if math.isnan(value) else format(value, spec).removesuffix("%").replace("-", MINUS)
