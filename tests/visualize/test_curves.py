import math
import re

import numpy as np
import pytest

from offstride.visualize import Curve
from offstride.visualize.curves import lay_out


def places(path):
    return [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def test_a_line_goes_through_its_points():
    plot = lay_out(Curve("loss", {"a": [(0, 0.0), (100, 1.0), (50, 0.25)]}))
    assert plot.name == "loss"
    (line,) = plot.lines
    assert line.model == "a"
    assert line.last == "1.00"
    assert places(line.line) == [(0, 1000), (500, 750), (1000, 0)]
    assert places(line.dots) == places(line.line)
    assert line.band == ""
    assert plot.x_ticks[0] == (0, "0")
    assert plot.x_ticks[-1] == (100, "100")
    assert plot.y_ticks[0] == (100, "0")
    assert plot.y_ticks[-1] == (0, "1")


def test_many_points_become_means_with_their_range():
    points = [(step, step + (1 if step % 2 else -1)) for step in range(1200)]
    (line,) = lay_out(Curve("loss", {"a": points})).lines
    assert line.dots == ""
    assert len(places(line.line)) == 120
    band = places(line.band)
    lower, upper = band[:120], band[:119:-1]
    for (x, y), (left, low), (right, high) in zip(places(line.line), lower, upper, strict=True):
        assert x == left == right
        assert high < y < low  # down is greater
    plot = lay_out(Curve("loss", {"a": points}))
    bottom, top = float(plot.y_ticks[0][1]), float(plot.y_ticks[-1][1])
    # The first ten values have the mean 4.5 at the mean step 4.5, and lie between -1 and 10.
    assert places(line.line)[0] == pytest.approx((1000 * 4.5 / 1194.5, 1000 * (top - 4.5) / (top - bottom)), abs=0.06)
    assert lower[0][1] == pytest.approx(1000 * (top + 1) / (top - bottom), abs=0.06)
    assert upper[0][1] == pytest.approx(1000 * (top - 10) / (top - bottom), abs=0.06)


def test_lines_share_their_axes():
    plot = lay_out(Curve("mIoU", {"a": [(10, 0.2), (20, 0.4)], "b": [(10, 0.3), (20, 0.7)]}, spec=".1%"))
    first, second = plot.lines
    assert (first.last, second.last) == ("40.0%", "70.0%")
    assert places(first.line)[1][1] - places(second.line)[1][1] == pytest.approx(
        3 * (places(first.line)[0][1] - places(second.line)[0][1]), abs=0.3
    )
    assert all(text.endswith("%") for _, text in plot.y_ticks)
    assert [place for place, _ in plot.y_ticks] == sorted((place for place, _ in plot.y_ticks), reverse=True)


def test_numbers_that_are_not_finite_are_left_out():
    points = [(0, 1.0), (1, math.nan), (2, math.inf), (3, 2.0)]
    plot = lay_out(Curve("loss", {"a": points, "b": [(0, math.nan)]}))
    assert [line.model for line in plot.lines] == ["a"]
    assert len(places(plot.lines[0].line)) == 2


@pytest.mark.parametrize("points", [[(0, 0.5)], [(100, 0.5)], [(10, 0.0), (20, 0.0)]])
def test_a_constant_line_has_axes(points):
    plot = lay_out(Curve("loss", {"a": points}))
    assert len(plot.y_ticks) > 1
    assert len(plot.x_ticks) > 0
    assert all(0 <= y <= 1000 and 0 <= x <= 1000 for x, y in places(plot.lines[0].line))


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="lines: expected at least one finite point in curve 'loss', got none"):
        lay_out(Curve("loss", {"a": [], "b": [(0, math.nan)]}))


@pytest.mark.parametrize(("spec", "factor", "unit"), [(".2f", 1, ""), (".1%", 100, "%")])
def test_points_lie_where_the_ticks_say(spec, factor, unit):
    points = [(10, 0.125), (40, 0.5), (90, 0.3)]
    plot = lay_out(Curve("mIoU", {"a": points}, spec))
    drawn = places(plot.lines[0].line)  # in thousandths, ticks are in per cent
    for axis, ticks, scale in ((0, plot.x_ticks, 1), (1, plot.y_ticks, factor)):
        assert len(ticks) >= 2
        assert all(text.endswith(unit) for _, text in plot.y_ticks)
        marks, values = zip(*((place, float(text.removesuffix("%"))) for place, text in ticks), strict=True)
        slope, start = np.polyfit(values, marks, 1)
        expected = [start + slope * scale * point[axis] for point in points]
        assert [place[axis] / 10 for place in drawn] == pytest.approx(expected, abs=0.1)
