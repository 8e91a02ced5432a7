"""`offstride sharpen`: the file, the scores, the training, the photographs, the page."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import get_model

from offstride import open_model
from offstride.cli.main import main
from offstride.data import STREETS, Streets
from offstride.evaluate import evaluate
from offstride.experiments.sharpening import sharpening
from offstride.models import Segmenter, create_model

pytestmark = pytest.mark.slow

SCENES = ["--data=streets", "--count=3", "--size=[64, 96]"]
QUICK = ["--workers=0", "--resamples=20", "--rounds=1", "--device=cpu"]
ZERO = ["--upsampler-options", "{init: zero}"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    create_model(backbone="test_resnet", head_options={"channels": 16}, classes=STREETS).save(path)
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "one.png")
    Image.fromarray(pixels[::-1]).save(folder / "two.jpg")
    return folder


def sharpen(checkpoint, output, *more):
    return main(["sharpen", str(checkpoint), f"--output={output}", *QUICK, *more])


def read(output):
    return json.loads((output / "report.json").read_text()), (output / "report.html").read_text()


def test_without_images_it_writes_the_model_alone(checkpoint, tmp_path, capsys):
    assert sharpen(checkpoint, tmp_path / "out") == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / "sharpened.safetensors")]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sharpened.safetensors"]
    assert Segmenter.load(tmp_path / "out" / "sharpened.safetensors").config.upsampler == "universal"


def test_scores_before_and_after_are_those_of_the_two_files(checkpoint, tmp_path, capsys):
    assert sharpen(checkpoint, tmp_path, *SCENES, "--split=test", "--against", "joint_bilateral,scales") == 0
    printed = capsys.readouterr().out
    content, page = read(tmp_path)
    assert [entry["name"] for entry in content["entries"]] == ["bilinear", "universal", "joint_bilateral", "scales"]
    files = {"bilinear": checkpoint, "universal": tmp_path / "sharpened.safetensors"}
    for entry in content["entries"][:2]:
        expected = evaluate(Segmenter.load(files[entry["name"]]), Streets(3, (64, 96), split="test")).to_dict()
        for metric in ("miou", "boundary_iou", "pixel_accuracy"):
            assert entry["scores"][metric]["mean"] == pytest.approx(expected[metric])
            shown = f"{100 * expected[metric]:.2f}"
            assert shown in page
        assert f"{100 * expected['miou']:.1f}" in printed
        assert f"{100 * expected['boundary_iou']:.1f}" in printed
        assert entry["costs"]["devices"]["cpu"]["latency"] > 0
    assert [band["width"] for band in content["entries"][1]["trimap"]] == [1, 2, 4, 8, 16]
    assert set(content["entries"][1]["classes"]) == set(STREETS.names)
    assert content["entries"][3]["costs"]["macs"] > 8 * content["entries"][0]["costs"]["macs"]
    assert content["sharpened"]["after"] == "universal"
    assert content["sharpened"]["changes"]["pixels"] == 3 * 64 * 96
    assert str(tmp_path / "report.html") in printed


def test_the_page_is_complete_in_itself_and_has_sliders(checkpoint, tmp_path, photographs):
    assert sharpen(checkpoint, tmp_path, *SCENES, "--images", str(photographs)) == 0
    content, page = read(tmp_path)
    sliders = re.findall(r'<input type="range"[^>]*aria-label="([^"]+)"', page)
    assert len(sliders) >= 3
    assert any("one" in label for label in sliders)
    assert any("two" in label for label in sliders)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "A typical image" in page
    assert "Your photographs" in page
    assert "not one step of training" in page
    for name in STREETS.names:
        assert name in page
    right = content["sharpened"]["changes"]["right"]
    assert 0 <= right <= content["sharpened"]["changes"]["pixels"]


def test_photographs_alone_need_no_labels(checkpoint, tmp_path, photographs, capsys):
    assert sharpen(checkpoint, tmp_path / "whole", "--images", str(photographs / "*.png")) == 0
    content, page = read(tmp_path / "whole")
    assert content["entries"] == []
    assert "no labels" in page
    assert "one" in page
    assert "two" not in page
    assert "no labels" in capsys.readouterr().out
    windows = ["--images", str(photographs / "*.png"), "--sliding", "64", "64"]
    assert sharpen(checkpoint, tmp_path / "windows", *windows) == 0


def test_it_warns_where_it_does_not_gain(checkpoint, tmp_path, capsys):
    assert sharpen(checkpoint, tmp_path, *SCENES, *ZERO) == 0
    content, page = read(tmp_path)
    (warning,) = content["warnings"]
    assert "it does not gain here; keep the model as it is" in warning
    assert "keep the model as it is" in " ".join(capsys.readouterr().out.split())
    assert warning in page.replace("&#39;", "'")
    assert "<h1>It does not gain here</h1>" in page


def test_only_some_photographs_are_shown(checkpoint, tmp_path, photographs, monkeypatch):
    monkeypatch.setattr(sharpening, "MOST_PHOTOGRAPHS", 1)
    assert sharpen(checkpoint, tmp_path, "--images", str(photographs)) == 0
    assert "The first 1 of 2 photographs are shown." in read(tmp_path)[1]


TRAINING = ["--train", "--steps=4", "--crops=4", "--crop=48", "--batch-size=2"]


def weights(path):
    return Segmenter.load(path).state_dict()


@pytest.mark.parametrize(("wins", "choice"), [(True, "val"), (False, "val"), (True, "test"), (False, "test")])
def test_training_is_kept_only_where_it_is_better(checkpoint, tmp_path, monkeypatch, wins, choice):
    monkeypatch.setattr(sharpening, "best", lambda counts, classes: len(counts) - 1 if wins or len(counts) < 4 else 0)
    assert sharpen(checkpoint, tmp_path / "zero") == 0
    more = [*TRAINING, "--against=joint_bilateral", f"--choose-split={choice}"]
    assert sharpen(checkpoint, tmp_path / "out", *SCENES, *more) == 0
    content, page = read(tmp_path / "out")
    names = [entry["name"] for entry in content["entries"]]
    assert names == ["bilinear", "universal", "universal+labels", "joint_bilateral"]
    assert content["sharpened"]["after"] == ("universal+labels" if wins else "universal")
    assert content["sharpened"]["training"]["chosen"] is wins
    before, after = (
        weights(tmp_path / "zero" / "sharpened.safetensors"),
        weights(tmp_path / "out/sharpened.safetensors"),
    )
    same = {name: torch.equal(tensor, after[name]) for name, tensor in before.items()}
    assert all(equal for name, equal in same.items() if not name.startswith("upsampler."))
    assert all(equal for name, equal in same.items() if name.startswith("upsampler.")) is not wins
    text = re.sub(r"\s+", " ", page)
    assert ("Only the upsampler was trained." in text) is wins
    assert ("Training did not gain on" in text) is not wins
    assert ("chosen on the images that are scored here" in text) is (wins and choice == "val")
    kept = Segmenter.load(tmp_path / "out" / "sharpened.safetensors")
    expected = evaluate(kept, Streets(3, (64, 96), split="val")).to_dict()
    assert content["entries"][2 if wins else 1]["scores"]["miou"]["mean"] == pytest.approx(expected["miou"])


def test_bad_input_is_one_line(checkpoint, tmp_path, capsys):
    def complaint(*words):
        assert main(["sharpen", *map(str, words), f"--output={tmp_path / 'out'}"]) == 2
        assert not (tmp_path / "out").exists()
        error = capsys.readouterr().err
        assert error.startswith("offstride: ")
        assert error.count("\n") == 1
        return error

    assert "nothing.safetensors" in complaint(tmp_path / "nothing.safetensors")
    assert "train: expected labelled images" in complaint(checkpoint, "--train")
    assert "against: expected labelled images" in complaint(checkpoint, "--against", "scales")
    assert "against: expected some of" in complaint(checkpoint, *SCENES, "--against", "lau")
    assert "root: expected the folder that holds 'camvid'" in complaint(checkpoint, "--data=camvid")
    assert "steps: expected a positive whole number" in complaint(checkpoint, *SCENES, "--train", "--steps=0")
    assert "rounds: expected 0 or more" in complaint(checkpoint, *SCENES, "--rounds=-1")
    assert "sliding: expected photographs" in complaint(checkpoint, *SCENES, "--sliding", "64", "64")
    assert "expected a file of `offstride fit-universal`" in complaint(checkpoint, "--weights", checkpoint)
    assert "nothing found for" in complaint(checkpoint, "--images", tmp_path / "*.jpg")
    other = tmp_path / "other.safetensors"
    create_model(backbone="test_resnet", head_options={"channels": 16}, classes=5).save(other)
    assert "dataset: expected the classes of the model" in complaint(other, *SCENES)
    create_model(backbone="test_resnet", classes=5, upsampler="pixel_shuffle").save(other)
    assert "classifies on its own" in complaint(other)


@pytest.fixture(scope="module")
def lraspp(tmp_path_factory):
    """A model of torchvision with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("torchvision") / "lraspp.pth"
    model = get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=len(STREETS))
    torch.save(model.state_dict(), path)
    return f"torchvision:lraspp_mobilenet_v3_large@{path}"


@pytest.mark.parametrize("wins", [True, False])
def test_models_of_other_libraries(lraspp, tmp_path, monkeypatch, wins):
    monkeypatch.setattr(sharpening, "best", lambda counts, classes: len(counts) - 1 if wins else 0)
    given = ["--classes", ",".join(STREETS.names), "--mean", *["0.5"] * 3, "--std", *["0.25"] * 3]
    assert sharpen(lraspp, tmp_path, *SCENES, *given, *TRAINING, "--against=scales") == 0
    content, page = read(tmp_path)
    assert content["title"].startswith("torchvision:lraspp")
    expected = evaluate(open_model(tmp_path / "sharpened.safetensors"), Streets(3, (64, 96), split="val")).to_dict()
    kept = next(entry for entry in content["entries"] if entry["name"] == content["sharpened"]["after"])
    assert kept["scores"]["miou"]["mean"] == pytest.approx(expected["miou"])
    assert "lraspp" in page


def test_grey_photographs_are_shown_and_one_that_cannot_be_read_is_named(checkpoint, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("L", (70, 50), 90).save(photos / "grey.png")
    assert sharpen(checkpoint, tmp_path / "one", "--images", str(photos)) == 0
    assert "grey" in (tmp_path / "one" / "report.html").read_text()
    (photos / "text.jpg").write_text("no picture")
    capsys.readouterr()
    assert sharpen(checkpoint, tmp_path / "two", "--images", str(photos)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "text.jpg: cannot be decoded" in lines[-1]
    assert not (tmp_path / "two" / "report.html").exists()


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("torchvision:nothing", "torchvision: expected one of deeplabv3_mobilenet_v3_large"),
        ("smp:", "expected a name behind smp:"),
        ("smp:{}", "cannot be opened"),
        ("transformers:{}", "transformers:"),
        ("hub:{}", "expected a folder with model.safetensors"),
        ("{}/none.safetensors", "none.safetensors"),
        ("{}/none.pt", "model: expected a model file"),
    ],
)
def test_bad_references_are_one_line_and_nothing_is_written(reference, said, tmp_path, capsys):
    assert main(["sharpen", reference.format(tmp_path), f"--output={tmp_path / 'out'}"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()


def test_exported_files_have_no_layers_to_sharpen(tmp_path, capsys):
    assert main(["sharpen", str(tmp_path / "m.onnx"), f"--output={tmp_path / 'out'}"]) == 2
    assert "expected one with layers to sharpen" in capsys.readouterr().err
