"""The demo from end to end, with a few steps."""

import json
import re

import pytest

from offstride.cli.main import main
from offstride.data import STREETS

pytestmark = pytest.mark.slow


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
