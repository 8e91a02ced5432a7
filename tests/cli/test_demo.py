"""The demo from end to end, with a few steps."""

import json
import re
from dataclasses import replace

import pytest

from offstride import Segmenter
from offstride.cli.main import main
from offstride.data import STREETS, Streets
from offstride.evaluate import evaluate
from offstride.experiments.demo import BASELINE, TRAINED_ALONG

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


@pytest.fixture(scope="module")
def entries(demo):
    return {entry["name"]: entry for entry in json.loads((demo / "report.json").read_text())["entries"]}


def test_the_page_shows_all_rows_all_classes_and_pictures(demo):
    page = (demo / "report.html").read_text()
    for text in ("bilinear", "universal", TRAINED_ALONG, "Boundary IoU", "thin classes", *STREETS.names):
        assert text in page
    assert len(re.findall(r"data:image/(?:png|jpeg|webp);base64,", page)) >= 6
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", page), "the page must need no network"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("bilinear", "bilinear/last.safetensors"),
        ("universal", "sharpened.safetensors"),
        (TRAINED_ALONG, f"{TRAINED_ALONG}/last.safetensors"),
    ],
)
def test_every_row_is_the_score_of_its_own_model(demo, entries, name, file):
    model = Segmenter.load(demo / file)
    expected = evaluate(model, Streets(60, (96, 128), split="test"))
    assert entries[name]["scores"]["miou"]["mean"] == pytest.approx(expected.scores.miou, abs=1e-6)
    assert entries[name]["scores"]["boundary_iou"]["mean"] == pytest.approx(expected.boundary.mean, abs=1e-6)
    assert entries[name]["costs"]["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_the_network_is_not_trained_when_it_is_sharpened(demo):
    before, after = (Segmenter.load(demo / name) for name in ("bilinear/last.safetensors", "sharpened.safetensors"))
    kept = before.state_dict()
    assert kept.items()
    for name, tensor in after.state_dict().items():
        assert name.startswith("upsampler.") or tensor.equal(kept[name]), name


def test_a_second_demo_does_not_train_again(demo):
    files = [demo / name / "train.csv" for name in ("bilinear", TRAINED_ALONG)]
    before = [file.read_bytes() for file in files]
    assert main(["demo", "--output", str(demo), "--steps=2"]) == 0
    assert [file.read_bytes() for file in files] == before


def test_other_settings_in_the_same_folder_are_refused(demo, capsys):
    assert main(["demo", "--output", str(demo), "--steps=3"]) == 2
    assert "schedule.steps" in capsys.readouterr().err
