import math

import pytest

from offstride.visualize import MetricRow
from offstride.visualize.tables import MINUS, NOTHING, Cell, Difference, cells, difference


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (MetricRow("IoU", (0.512, 0.6)), [("51.2", False), ("60.0", True)]),
        (MetricRow("time", (10.0, 12.4), spec=".0f", better="low"), [("10", True), ("12", False)]),
        (MetricRow("size", (1e6, 2e6), spec=",.0f", better="none"), [("1,000,000", False), ("2,000,000", False)]),
        (MetricRow("alike", (0.5001, 0.5002)), [("50.0", False), ("50.0", False)]),
        (MetricRow("tie", (0.5001, 0.5002, 0.1)), [("50.0", True), ("50.0", True), ("10.0", False)]),
        (MetricRow("absent", (math.nan, 0.5)), [(NOTHING, False), ("50.0", True)]),
        (MetricRow("none", (math.nan, math.nan)), [(NOTHING, False), (NOTHING, False)]),
        (MetricRow("negative", (-1.5, 1.5), spec=".1f"), [(f"{MINUS}1.5", False), ("1.5", True)]),
        (MetricRow("alone", (0.5,)), [("50.0", False)]),
    ],
)
def test_cells_mark_the_best(row, expected):
    assert cells(row) == [Cell(*cell) for cell in expected]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (MetricRow("up", (0.512, 0.6)), ("+8.8", "good")),
        (MetricRow("down", (0.6, 0.512)), (f"{MINUS}8.8", "bad")),
        (MetricRow("time", (10, 12), spec=".0f", better="low"), ("+2", "bad")),
        (MetricRow("size", (1, 2), spec=".0f", better="none"), ("+1", "even")),
        (MetricRow("alike", (0.5001, 0.5)), ("±0", "even")),
        (MetricRow("absent", (0.5, math.nan)), (NOTHING, "even")),
    ],
)
def test_difference_is_second_less_first(row, expected):
    assert difference(row) == Difference(*expected)


def test_difference_needs_two():
    assert difference(MetricRow("alone", (1.0,))) is None
    assert difference(MetricRow("three", (1.0, 2.0, 3.0))) is None
