import re

import numpy as np
import pytest
from PIL import Image

from offstride.data.catalog import CAMVID, ClassSet
from offstride.visualize import ChartLine, legend, save_chart

LINES = [ChartLine("rising", [(1, 1.0), (2, 2.0), (4, 3.0)], 0), ChartLine("level", [(0, 1.5)], 1, "--")]
AXES = {"x": "channels", "y": "mIoU"}


def shares(path, color):
    """Rows and columns of the pixels of a colour, as shares of the picture."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    places = np.argwhere((abs(picture - np.array(color)) < 12).all(2))
    return places / picture.shape[:2]


def test_lines_are_where_they_should_be(tmp_path):
    path = tmp_path / "deep" / "chart.png"
    save_chart(path, LINES, **AXES, ticks=[1, 2, 4], logarithmic=True)
    rising = shares(path, (0x1B, 0x6C, 0xA8))
    chart = rising[rising[:, 1] < 0.75]  # to the right of it is the legend
    left, right = chart[chart[:, 1] < 0.2], chart[chart[:, 1] > 0.6]
    assert left[:, 0].mean() > right[:, 0].mean() + 0.5  # it rises: rows count from the top
    level = shares(path, (0xD1, 0x49, 0x5B))
    level = level[level[:, 1] < 0.75]
    assert level[:, 0].std() < 0.01
    assert np.ptp(level[:, 1]) > 0.5


@pytest.mark.parametrize("logarithmic", [True, False])
def test_equal_factors_are_equally_wide_where_that_is_asked_for(tmp_path, logarithmic):
    """Steps of 1 at 1, 2 and 4: a straight line, or one with a bend."""
    save_chart(tmp_path / "chart.png", LINES[:1], **AXES, logarithmic=logarithmic)
    line = shares(tmp_path / "chart.png", (0x1B, 0x6C, 0xA8))
    rows, columns = line[line[:, 1] < 0.75].T
    bend = rows - np.polyval(np.polyfit(columns, rows, 1), columns)
    assert (abs(bend).max() < 0.03) == logarithmic


def test_names_and_ticks_are_written(tmp_path):
    save_chart(tmp_path / "chart.svg", LINES, **AXES, title="Bounds", ticks=[1, 2, 4])
    comments = re.findall(r"<!-- (.*?) -->", (tmp_path / "chart.svg").read_text())
    assert {"rising", "level", "channels", "mIoU", "Bounds", "1", "2", "4"} <= set(comments)
    assert "3" not in comments[:6]  # only the ticks that were named


def test_what_cannot_be_drawn(tmp_path):
    with pytest.raises(ValueError, match="lines: expected at least one with points"):
        save_chart(tmp_path / "chart.png", [ChartLine("none", [])], **AXES)
    with pytest.raises(ValueError, match="path: expected a file ending such as"):
        save_chart(tmp_path / "chart.docx", LINES, **AXES)
    assert not list(tmp_path.iterdir())


def test_every_colour_is_shown_in_its_order():
    picture = legend(CAMVID)
    places = [np.argwhere((picture == color).all(2)) for color in CAMVID.palette]
    assert all(len(place) > 50 for place in places)
    tops = [place[:, 0].mean() for place in places]
    assert tops == sorted(tops)


def test_columns_make_it_wider_and_lower():
    tall, wide = legend(CAMVID), legend(CAMVID, columns=3)
    assert wide.shape[0] < tall.shape[0]
    assert wide.shape[1] > tall.shape[1]


def test_every_name_is_shown_as_it_is():
    colors = ((255, 0, 0), (0, 0, 255))
    plain = legend(ClassSet(names=("hidden", "5x5"), palette=colors))
    odd = legend(ClassSet(names=("_hidden", "$5x5$"), palette=colors))
    assert ((odd == colors[0]).all(2).sum(), (odd == colors[1]).all(2).sum()) == (
        (plain == colors[0]).all(2).sum(),
        (plain == colors[1]).all(2).sum(),
    )
    assert odd.shape[1] > plain.shape[1]
