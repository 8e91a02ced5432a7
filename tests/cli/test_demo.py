"""The demo from end to end, with a few steps."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from offstride.cli.main import main
from offstride.data import STREETS
from offstride.experiments.demo import BASELINE
from offstride.experiments.demo_report import SceneView
from offstride.visualize.decoding import Decoding, Offsets

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _smaller_scenes():
    """A quarter of the pixels: most of the time goes into drawing."""
    with pytest.MonkeyPatch.context() as patch:
        data = replace(BASELINE.data, size=(96, 128), crop=(96, 128))
        patch.setattr("offstride.experiments.demo.BASELINE", replace(BASELINE, data=data))
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--output", str(path), "--steps=2"]) == 0
    return path


def test_report_shows_both_models_all_classes_and_pictures(demo):
    page = (demo / "report.html").read_text()
    for text in ("Bilinear", "LaU", "Boundary IoU", "Thin classes", "Before LaU", *STREETS.names):
        assert text in page
    pictures = re.findall(r"data:image/(?:png|jpeg|webp);base64,", page)
    assert len(pictures) >= 3 * 12 + 5
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", page), "the page must need no network"


def test_the_page_shows_the_figures_that_are_written(demo):
    text = re.sub(r"<[^>]*>", " ", (demo / "report.html").read_text())
    scores = [each for _, each in sorted(json.loads((demo / "scores.json").read_text()).items())]
    for name, figures in (
        ("Mean IoU", [100 * each["miou"] for each in scores]),
        ("Boundary IoU", [100 * each["boundary_iou"] for each in scores]),
        ("Thin classes", [100 * each["thin_iou"] for each in scores]),
        ("Pixel accuracy", [100 * each["pixel_accuracy"] for each in scores]),
        ("Prediction", [1000 * each["seconds"] / each["images"] for each in scores]),
    ):
        after = text[text.index(f" {name} ") :]
        shown = [float(number) for number in re.findall(r"(?<!\S)\d+\.\d(?!\S)", after)[:2]]
        assert shown == pytest.approx(figures, abs=0.07), name


def test_the_detail_shows_the_offsets_of_its_own_place():
    """Offsets are zero but where the models differ, so that coloured arrows are those of the detail."""
    label = np.zeros((128, 160), np.uint8)
    lau, pairs = label.copy(), np.zeros((2, 128, 160), np.float32)
    lau[70:110, 90:150] = 1
    pairs[:, 70:110, 90:150] = 2.0
    image, offsets = np.full((128, 160, 3), 90, np.uint8), Offsets(pairs, 8, label)
    decoding = Decoding(image, label, lau, np.ones(label.shape), STREETS, offsets, [])
    view = SceneView("x", {"Truth": label, "Bilinear": label, "LaU": lau}, decoding, offsets)
    arrows = view.example(4.0).rows[2]["Where the detail reads"].astype(int)
    assert (np.ptp(arrows, 2) > 60).mean() > 0.02


def test_scores_are_written(demo):
    scores = json.loads((demo / "scores.json").read_text())
    assert set(scores) == {"Bilinear", "LaU"}
    assert all(each["images"] == 60 and 0 <= each["miou"] <= 1 for each in scores.values())


def test_a_second_demo_does_not_train_again(demo, capsys):
    before = (demo / "lau" / "train.csv").read_bytes()
    assert main(["demo", "--output", str(demo), "--steps=2"]) == 0
    assert (demo / "lau" / "train.csv").read_bytes() == before


def test_other_settings_in_the_same_folder_are_refused(demo, capsys):
    assert main(["demo", "--output", str(demo), "--steps=3"]) == 2
    assert "schedule.steps" in capsys.readouterr().err
