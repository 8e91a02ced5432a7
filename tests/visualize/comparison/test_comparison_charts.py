"""What is drawn lies where the scale beside it says: read back through the ticks, points give the report's numbers."""

import re

import numpy as np
import pytest

import comparison_reports as reports
from offstride.visualize.comparison.charts import cost_charts, curve_panels, forests, trimap_charts


def reader(ticks, *, logarithmic=False):
    """Place -> number, as the two outermost ticks say; every other tick agrees with them."""
    places = [place for place, _ in ticks]
    values = np.array([float(text.replace("−", "-").replace(",", "")) for _, text in ticks])
    scaled = np.log(values) if logarithmic else values
    slope = (scaled[-1] - scaled[0]) / (places[-1] - places[0])

    def read(place):
        value = scaled[0] + slope * (place - places[0])
        return np.exp(value) if logarithmic else value

    np.testing.assert_allclose([read(place) for place in places], values, rtol=1e-6, atol=1e-9)
    return read


def path(data):
    return [tuple(map(float, pair)) for pair in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", data)]


def test_accuracy_against_cost():
    charts = cost_charts(reports.report())
    entries = reports.report()["entries"]
    axes = [(chart.name, chart.x_name) for chart in charts]
    assert axes == [
        (metric, cost)
        for metric in ("mIoU, %", "Boundary IoU, %")
        for cost in ("Latency on CPU, 2 threads, ms", "Latency on GPU, H100, ms", "Parameters, million")
    ]
    prices = {
        axes[0][1]: {0: 50.0, 1: 61.0},
        axes[1][1]: {0: 2.0, 1: 2.5},
        axes[2][1]: {0: 2.9, 1: 2.9412, 2: 3.0},
    }
    for chart in charts:
        key = "miou" if chart.name == "mIoU, %" else "boundary_iou"
        x, y = reader(chart.x_ticks), reader(chart.y_ticks)
        assert {it.index for it in chart.series} == set(prices[chart.x_name])
        for series in chart.series:
            ((left, top, _),) = series.dots
            score = entries[series.index]["scores"][key]
            assert x(left) == pytest.approx(prices[chart.x_name][series.index])
            assert y(top) == pytest.approx(100 * score["mean"])
            low, high = re.match(r"M[\d.]+ ([\d.]+)V([\d.]+)", series.bars).groups()
            assert (y(float(high)) - y(float(low))) / 2 == pytest.approx(100 * score["sd"], rel=0.02)


def test_quartiles_of_the_latency_are_on_its_axis():
    chart = cost_charts(reports.report())[0]
    x = reader(chart.x_ticks)
    for series, latency in zip(chart.series, (50.0, 61.0), strict=True):
        low, high = re.search(r"M([\d.]+) [\d.]+H([\d.]+)", series.bars).groups()
        assert (x(float(low)), x(float(high))) == pytest.approx((0.9 * latency, 1.1 * latency), rel=0.01)


def test_a_logarithmic_axis_says_so():
    report = reports.report()
    report["entries"][1]["costs"]["devices"]["cpu"].update(latency=0.5, quartiles=[0.4, 0.6])
    chart = cost_charts(report)[0]
    assert chart.x_name.endswith(", ms (logarithmic)")
    x = reader(chart.x_ticks, logarithmic=True)
    assert [x(series.dots[0][0]) for series in chart.series] == pytest.approx([50, 500])


def test_forests():
    report = reports.report()
    plots = forests(report)
    assert [plot.name for plot in plots] == ["mIoU", "Boundary IoU"]
    for plot, key in zip(plots, ("miou", "boundary_iou"), strict=True):
        read = reader(plot.ticks)
        assert read(plot.zero) == pytest.approx(0, abs=1e-9)
        for row in plot.rows:
            change = report["entries"][row.index]["scores"][key]["difference"]
            assert read(row.mean) == pytest.approx(100 * change["mean"])
            for kind in ("images", "both"):
                assert [read(end) for end in getattr(row, kind)] == pytest.approx([100 * end for end in change[kind]])
            assert all(0 < place < 100 for place in (row.mean, *row.images, *row.both, *row.runs))
            assert [read(place) for place in row.runs] == pytest.approx([100 * value for value in change["values"]])


def test_trimaps():
    report = reports.report()
    scores, changes = trimap_charts(report)
    assert (scores.name, changes.name) == ("mIoU in the trimap, %", "Difference to bilinear, points")
    assert (scores.zero, reader(changes.y_ticks)(changes.zero)) == (None, pytest.approx(0, abs=1e-9))
    for chart in (scores, changes):
        y = reader(chart.y_ticks)
        assert [text for _, text in chart.x_ticks] == ["1", "4"]
        for series in chart.series:
            assert all(chart.frame[1] < top < chart.frame[3] for _, top, _ in series.dots)
            bands = [band["miou"] for band in report["entries"][series.index]["trimap"] if band["miou"]]
            wanted = [band["mean"] if chart is scores else band["difference"]["mean"] for band in bands]
            assert [y(top) for _, top, _ in series.dots] == pytest.approx([100 * value for value in wanted])
            assert [left for left, _, _ in series.dots] == [place for place, _ in chart.x_ticks][: len(wanted)]
            np.testing.assert_allclose(path(series.line), [dot[:2] for dot in series.dots], atol=0.06)


def test_learning_curves():
    miou, loss = curve_panels(reports.report())
    assert (miou.name, loss.name) == ("Validation mIoU, %", "Training loss, with location terms")
    runs = {"miou": [[25, 50], [35, 75]], "loss": [[2, 1], [3, 1.5]]}
    for plot, key in ((miou, "miou"), (loss, "loss")):
        x, y = reader(plot.x_ticks), reader(plot.y_ticks)
        assert [panel.index for panel in plot.panels] == [0, 1, 2]
        for panel in plot.panels:
            for line, values in zip([*panel.runs, panel.mean], [*runs[key], np.mean(runs[key], 0)], strict=True):
                places = path(line.line)
                assert [x(left / 10) for left, _ in places] == pytest.approx([10, 20], rel=0.01)
                assert [y(top / 10) for _, top in places] == pytest.approx(list(values), rel=0.01)
