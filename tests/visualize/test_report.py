import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from offstride.data.catalog import ClassSet
from offstride.visualize import Curve, Example, MetricRow, Report, render_report, write_report

CLASSES = ClassSet(names=("sky", "pole"), palette=((1, 2, 3), (4, 5, 6)), thin=("pole",))
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "path"}


def picture(value=0):
    return np.full((6, 8, 3), value, dtype=np.uint8)


def full_report(**changes):
    arguments = {
        "title": "Where to read",
        "models": ("Bilinear", "LaU"),
        "intro": "First.\n\nSecond.",
        "facts": {"Seed": "7"},
        "metrics": [
            MetricRow("Mean IoU", (0.5, 0.625)),
            MetricRow("Time", (3, 4), spec=".0f", unit="s", better="low", note="here"),
        ],
        "per_class": {"Bilinear": [0.9, math.nan], "LaU": [0.95, 0.3]},
        "classes": CLASSES,
        "key": {"Fixed": (7, 8, 9)},
        "curves": [Curve("Loss", {"LaU": [(0, 1.0), (9, 0.5)]})],
        "viewer": {"Image": picture(), "Truth": picture(9)},
        "examples": [Example("Scene", [{"One": picture(), "Two": picture(5)}, {"Three": picture(3)}], "Look here.")],
        "offset_limit": 1.25,
        "notes": ["A remark."],
        "versions": {"torch": "9.9"},
    }
    return Report(**(arguments | changes))


class Page(HTMLParser):
    """Tags that open and close in order, the text of the page, and its images."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.images = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words += data.split()

    @property
    def text(self):
        return " ".join(self.words)


def test_page_says_everything():
    page = Page(render_report(full_report()))
    for words in (
        "Where to read", "First. Second.", "Seed 7", "Bilinear LaU Change", "Mean IoU % 50.0 62.5 +12.5",
        "Time s here 3 4 +1", "sky 90.0 95.0 +5.0", "pole thin", "Fixed", "Loss LaU 0.50", "Scene Look here.",
        "One Two Three", "the rim is 1.2 coarse pixels away", "A remark.", "torch 9.9",
    ):  # fmt: skip
        assert words in page.text
    assert [image["alt"] for image in page.images] == ["Image", "Truth", "Colour wheel", "One", "Two", "Three"]


def test_page_needs_nothing_else():
    text = render_report(full_report())
    assert "<script" not in text
    assert all(image["src"].startswith("data:image/") for image in Page(text).images)
    assert re.findall(r"(?:https?:)?//[a-z]", re.sub(r'src="[^"]*"', "", text)) == []


def test_best_values_are_marked():
    text = render_report(full_report())
    assert '<td class="number best">62.5</td>' in text
    assert '<td class="number best">3</td>' in text
    assert '<td class="number good">+12.5</td>' in text
    assert '<td class="number bad">+1</td>' in text


def test_classes_are_drawn_in_their_colours_at_their_values():
    text = render_report(full_report())
    assert "background: rgb(1, 2, 3)" in text
    assert "background: rgb(7, 8, 9)" in text
    assert re.findall(r'class="dot m(\d)" style="left: ([\d.]+)%"', text) == [
        ("0", "90.0"),
        ("1", "95.0"),
        ("1", "30.0"),
    ]


def test_text_is_not_markup():
    text = render_report(full_report(title="<b>5 & 6</b>", notes=["a < b"]))
    assert "&lt;b&gt;5 &amp; 6&lt;/b&gt;" in text
    assert "<b>5" not in text
    assert "a &lt; b" in text


def test_last_layer_is_shown_at_first():
    inputs = re.findall(r'<input type="radio"[^>]*>', render_report(full_report()))
    assert ["checked" in tag for tag in inputs] == [False, True]
    assert 'aria-label="Truth"' in inputs[1]


@pytest.mark.parametrize("models", [("one",), ("a", "b", "c", "d", "e", "f", "g")])
def test_any_number_of_models(models):
    rows = [MetricRow("Mean IoU", [0.1 * index for index in range(len(models))])]
    page = Page(render_report(Report(title="Many", models=models, metrics=rows)))
    assert "Mean IoU % 0.0" in page.text
    assert "Change" not in page.words


def test_least_report_names_what_was_used():
    page = Page(render_report(Report(title="Little", models=())))
    assert re.search(r"Little Python 3\.\d+\S* offstride \S+ torch \S+ timm \S+$", page.text)
    assert page.images == []


def test_write_makes_folders(tmp_path):
    path = tmp_path / "new" / "report.html"
    report = full_report(title="Größe")
    write_report(path, report)
    assert path.read_text(encoding="utf-8") == render_report(report)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_names_its_path(tmp_path):
    with pytest.raises(ValueError, match=rf"path: expected a file that can be written, got {tmp_path}: "):
        write_report(tmp_path, Report(title="", models=()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": [MetricRow("IoU", (1.0,))]}, "metrics: expected 2 values of 'IoU', got 1"),
        ({"per_class": {"LaU": [0.5]}}, "per_class: expected 2 values of 'LaU', as classes has, got 1"),
        ({"per_class": {"X": [0.5, 0.5]}}, r"per_class: expected models out of \['Bilinear', 'LaU'\], got \['X'\]"),
        ({"curves": [Curve("Loss", {"X": [(0, 1)]})]}, r"curve 'Loss': expected models out of .* got \['X'\]"),
        ({"viewer": {"A": picture() / 255}}, r"picture 'A': expected uint8 .* got float64 \(6, 8, 3\)"),
        (
            {"examples": [Example("S", [{"B": picture()[..., 0]}])]},
            r"picture 'B': expected uint8 .* got uint8 \(6, 8\)",
        ),
        ({"viewer": {"A": picture(), "B": picture()[:2]}}, "viewer: expected pictures of one size, got"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        full_report(**changes)
