"""`offstride export`, and `offstride predict` with what it wrote."""

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from offstride.cli.main import main
from offstride.data import ClassSet
from offstride.models import create_model

pytestmark = pytest.mark.slow

SIZE = (40, 56)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    options = {"head_options": {"channels": 16}, "output_stride": 8, "upsampler_options": {"hidden": 8}}
    classes = ClassSet(("a", "b", "c"), ((1, 2, 3), (250, 0, 0), (0, 0, 250)))
    model = create_model(backbone="test_resnet", classes=classes, upsampler="lau", **options).eval()
    with torch.no_grad():  # otherwise one class wins everywhere
        scores = model(torch.randn(4, 3, *SIZE))
        model.classifier.bias -= scores.mean((0, 2, 3))
    model.save(path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for name in ("one", "two"):
        Image.fromarray(generator.integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def complaint(capsys):
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("offstride: ")
    return text


def predicted(model, images, out, *more):
    assert main(["predict", str(model), str(images), f"--output={out}", *more]) == 0
    return {path.name: path for path in out.iterdir()}


@pytest.fixture(scope="module")
def scores_file(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("scores") / "m.onnx"
    where = [f"--output={path}", "--size", "40", "56", "--scores", "--opset=19"]
    assert main(["export", str(checkpoint), *where]) == 0
    return path


def same_pixels(one, other):
    with Image.open(one) as first, Image.open(other) as second:
        assert first.getpalette() == second.getpalette()
        return (np.array(first) == np.array(second)).mean()


def test_onnx_predicts_what_the_checkpoint_does(checkpoint, images, scores_file, tmp_path):
    assert onnx.load(scores_file).opset_import[0].version == 19
    ours = predicted(checkpoint, images, tmp_path / "ours")
    theirs = predicted(scores_file, images, tmp_path / "theirs")
    assert ours.keys() == theirs.keys() == {"one.png", "one_overlay.jpg", "two.png", "two_overlay.jpg"}
    with Image.open(ours["one.png"]) as image:
        assert len(np.unique(np.array(image))) > 1
    for name in ("one.png", "two.png"):
        assert same_pixels(ours[name], theirs[name]) > 0.999


@pytest.mark.parametrize("protocol", [["--flip"], ["--sliding", "40", "56", "--flip"]])
def test_scores_can_be_averaged(checkpoint, images, scores_file, tmp_path, protocol):
    ours = predicted(checkpoint, images, tmp_path / "ours", *protocol)
    theirs = predicted(scores_file, images, tmp_path / "theirs", *protocol)
    assert same_pixels(ours["one.png"], theirs["one.png"]) > 0.999


def test_torch_export_of_pixels_to_labels(checkpoint, images, tmp_path, capsys):
    path = tmp_path / "m.pt2"
    where = [f"--output={path}", "--format=torch-export", "--dynamic", "--input=image", "--labels"]
    assert main(["export", str(checkpoint), *where]) == 0
    assert "image → labels, any number of images of any size from 16×16" in capsys.readouterr().out
    ours = predicted(checkpoint, images, tmp_path / "ours", "--overlays=false")
    theirs = predicted(path, images, tmp_path / "theirs", "--overlays=false")
    assert same_pixels(ours["one.png"], theirs["one.png"]) > 0.999
    assert main(["predict", str(path), str(images), f"--output={tmp_path / 'flip'}", "--flip"]) == 2
    assert "--scores" in complaint(capsys)


def test_other_sizes_are_refused_in_a_line(scores_file, tmp_path, capsys):
    Image.new("RGB", (30, 30)).save(tmp_path / "small.png")
    assert main(["predict", str(scores_file), str(tmp_path / "small.png"), f"--output={tmp_path / 'out'}"]) == 2
    assert "takes 40×56 pixels only" in complaint(capsys)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--format=tflite"], "format: expected one of onnx, torch-export"),
        (["--labels", "--scores"], "labels, scores"),
        (["--opset=9"], "opset: expected 18"),
        (["--opset=20", "--format=torch-export"], "opset: belongs to the format onnx"),
        (["--output=model.txt"], "model.txt"),
        (["--size", "0", "8"], "size: expected"),
        (["--size", "8"], "size"),
        (["--dynamic=most"], "dynamic: expected"),
        (["--input=jpeg"], "input: expected"),
        (["--output-stride=7"], "output_stride"),
    ],
)
def test_bad_options_are_one_line(checkpoint, capsys, arguments, named):
    assert main(["export", str(checkpoint), *arguments]) == 2
    assert named in complaint(capsys)


def test_the_wrong_file_is_one_line(tmp_path, scores_file, images, capsys):
    assert main(["export", str(images / "one.png")]) == 2
    assert "expected a model file (.safetensors)" in complaint(capsys)
    for name in ("no.onnx", "no.pt2"):
        (tmp_path / name).write_bytes(b"nothing")
        assert main(["predict", str(tmp_path / name), str(images)]) == 2
        assert name in complaint(capsys)
    assert main(["predict", str(scores_file), str(images), "--output-stride=16"]) == 2
    assert "fixed in an exported file" in complaint(capsys)
