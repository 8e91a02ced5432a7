"""The page of `offstride sharpen`, and its sentences."""

import numpy as np
import pytest

from offstride.compare import Entry, ImageCounts, Resampling, compare
from offstride.data import ClassSet
from offstride.visualize.sharpening import text
from offstride.visualize.sharpening.layers import BeforeAfter
from offstride.visualize.sharpening.page import render_sharpen_page, write_sharpen_page

COLORS = [[1, 2, 3], [200, 100, 50]]
CLASSES = ClassSet(names=("ground", "thing"))


def counts(right, band):
    """Of three images with 100 pixels of each of two classes."""

    def each(numbers):
        return np.array([[number, number] for number in numbers])

    found, whole = each(right)[:, None], np.full((3, 1, 2), 100)
    return ImageCounts(("a", "b", "c"), (), found, whole, whole, each(band), np.full((3, 2), 100))


def report(training=None, warnings=(), after="universal"):
    entries = [
        Entry("bilinear", [counts((60, 70, 80), (40, 50, 60))]),
        Entry("universal", [counts((70, 72, 84), (50, 52, 66))]),
        Entry("joint_bilateral", [counts((50, 71, 60), (40, 52, 60))]),
    ]
    return {
        "title": "model.safetensors",
        "data": {"name": "streets", "split": "val", "images": 3, "classes": ["ground", "thing"], "colors": COLORS},
        "sharpened": {
            "before": "bilinear",
            "after": after,
            "training": training,
            "changes": {"pixels": 1000, "right": 60, "wrong": 20, "still": 0, "unknown": 20},
            "images": {"scored": 3, "gain": 3, "lose": 0},
        },
        "facts": {"Model": "model.safetensors"},
        "warnings": list(warnings),
        "remarks": ["A remark."],
        "made": {"versions": {"offstride": "0"}},
        **compare(entries, CLASSES, Resampling(resamples=50)),
    }


def test_the_sentences_have_the_figures():
    content = report()
    assert text.headline(content) == "+6.0 points of boundary IoU without training"
    summary = text.summary(content)
    assert summary.startswith("Boundary IoU 50.0 → 56.0 (+6.0, 95 % interval +")
    assert "mIoU 53.8 → 60.4 (+6.6" in summary
    assert summary.endswith("Not one step of training.")
    assert text.changes(content) == (
        "10.0 % of all pixels change. Of those with a true label, 75.0 % are right now, 25.0 % were right before, "
        "0.0 % were wrong and still are."
    )
    assert text.winners(content) == "Boundary IoU rises in 3 of 3 images and falls in none."
    assert text.choice(content) == ""


@pytest.mark.parametrize(("choice", "flattered"), [("val", True), ("other", False)])
def test_it_says_what_was_trained_and_how_it_was_chosen(choice, flattered):
    training = {"chosen": True, "choice": choice, "step": 200, "start": "joint_bilateral"}
    content = report(training)
    assert text.summary(content).endswith("Only the upsampler was trained. Without training: +0.7.")
    assert f"after 200 steps is kept: the best on {choice}" in text.choice(content)
    assert ("flatters" in text.choice(content)) is flattered
    kept = text.choice(report({"chosen": False, "choice": choice}))
    assert kept == f"Training did not gain on {choice}: the upsampler without training is kept."
    assert text.summary(report({"chosen": False, "choice": choice})).endswith("Not one step of training.")


def test_the_page_has_rows_intervals_classes_and_sliders(tmp_path):
    label = np.zeros((8, 12), np.uint8)
    after = label.copy()
    after[2:5, 3:6] = 1
    image = np.full((8, 12, 3), 80, np.uint8)
    pictures = [
        BeforeAfter("typical", "first", image, label, after, after, (0.401, 0.459)),
        BeforeAfter("losses", "<second>", image, label, after, label, (0.6, 0.5)),
        BeforeAfter("yours", "third", image, label, after),
    ]
    write_sharpen_page(tmp_path / "deep" / "page.html", report(), pictures)
    page = (tmp_path / "deep" / "page.html").read_text()
    for part in ("+6.0 points of boundary IoU", "56.00", "joint_bilateral", "A remark.", "boundary IoU 40.1 → 45.9"):
        assert part in page
    assert page.count('<input type="range"') == 6
    assert page.count('class="reveal"') == 2
    assert "&lt;second&gt;" in page
    assert "<second>" not in page
    assert "Where it loses most" in page
    assert "Where it gains most" not in page
    assert "9.4 % right now" in page
    assert "9.4 % wrong now" in page


def test_where_nothing_changes_there_is_no_closeup():
    label = np.zeros((12, 8), np.uint8)
    page = render_sharpen_page(report(), [BeforeAfter("yours", "same", np.zeros((12, 8, 3), np.uint8), label, label)])
    assert page.count('<input type="range"') == 1
    assert "Close-up" not in page
    assert 'class="pair tall"' in page


def test_a_warning_takes_the_heading():
    content = report(warnings=["mIoU −1: it does not gain here."])
    assert text.headline(content) == "It does not gain here"
    assert '<p class="warning" role="alert">mIoU −1: it does not gain here.</p>' in render_sharpen_page(content)


def test_without_labels_there_are_no_scores():
    content = report() | {"entries": []}
    content["sharpened"] |= {"changes": None, "images": None}
    page = render_sharpen_page(content)
    assert "<h1>Before and after</h1>" in page
    assert "There are no labels" in page
    assert 'id="scores"' not in page
    assert text.changes(content) == text.winners(content) == ""
