"""`offstride visualize`: what it writes for each kind of model, and what it says about bad input."""

import re
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from PIL import Image

from offstride.cli.main import main
from offstride.data import STREETS, Streets, read_image, read_mask
from offstride.evaluate.decoding import class_set, decode_image
from offstride.field import argmax
from offstride.models import Segmenter, create_model
from offstride.visualize import save_label_png

pytestmark = pytest.mark.slow

SIZE = (41, 54)
SMALL = {"backbone": "test_resnet", "output_stride": 8, "head_options": {"channels": 8}}
MODELS = {
    "plain": {},
    "lau": {"upsampler": "lau", "upsampler_options": {"hidden": 8}},
    "lau, an offset per class": {"upsampler": "lau", "upsampler_options": {"hidden": 8, "groups": len(STREETS)}},
    "gff": {"fusion": "gff", "fusion_options": {"width": 8, "pyramid": True}},
    "gff and lau": {
        "fusion": "gff",
        "fusion_options": {"width": 8},
        "upsampler": "lau",
        "upsampler_options": {"hidden": 8},
    },
}


def build(name, classes=STREETS):
    """A model whose random offsets move labels: the scores are made to differ more than at the start."""
    model = create_model(classes=classes, **SMALL, **MODELS[name]).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(20)
        model.classifier.bias.zero_()
    return model


@pytest.fixture
def scenes(tmp_path):
    """Two images with labels."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for index, sample in enumerate(Streets(2, SIZE, split="test")):
        Image.fromarray(sample.image.permute(1, 2, 0).numpy()).save(tmp_path / "images" / f"scene {index}.png")
        save_label_png(tmp_path / "labels" / f"scene {index}.png", sample.label.numpy(), STREETS.palette)
    return tmp_path


def pixels(scenes):
    return read_image(scenes / "images" / "scene 0.png")


def decoded(model, image):
    images = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (model.mean, model.std))
    return (images - mean) / std


def run(scenes, name, *arguments):
    model = build(name)
    model.save(scenes / "model.safetensors")
    return main(["visualize", str(scenes / "model.safetensors"), *arguments, "--output", str(scenes / "out")])


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_page_and_pictures_for_every_kind_of_model(name, labelled, scenes, capsys):
    labels = ["--labels", str(scenes / "labels")] if labelled else []
    assert run(scenes, name, str(scenes / "images"), *labels) == 0
    assert "2 images drawn" in capsys.readouterr().out
    page = (scenes / "out" / "index.html").read_text()
    files = {unquote(url) for url in re.findall(r'(?:src|href)="([^"#:]+)"', page)}
    written = {path.relative_to(scenes / "out").as_posix() for path in (scenes / "out").rglob("*.png")}
    assert files == written - {
        f"scene {index}/labels.png" for index in (0, 1)
    }  # every picture is shown, none is missing
    for file in files:
        assert read_image(scenes / "out" / file).shape[1] >= 480
    assert ("Where pixels read" in page) == ("lau" in name)
    assert ("What the gates let through" in page) == ("gff" in name)
    assert ("Pixel accuracy" in page) == labelled
    raw = read_mask(scenes / "out" / "scene 0" / "labels.png")
    model = Segmenter.load(scenes / "model.safetensors")
    with torch.inference_mode():
        expected = argmax(model.field(decoded(model, pixels(scenes))))[0].numpy()
    assert (raw == expected).mean() > 0.999  # ties aside


def test_gates_are_those_of_the_model_and_are_closed_one_by_one(scenes):
    model = build("gff")
    calls = []
    decoding = decode_image(model, pixels(scenes), None, lambda done, runs: calls.append((done, runs)))
    images = decoded(model, pixels(scenes))
    with torch.inference_mode():
        whole = model.decode(images)
        assert [gate.name for gate in decoding.gates] == [info.name for info in model.backbone.features[-4:]]
        for index, gate in enumerate(decoding.gates):
            np.testing.assert_allclose(gate.values, whole.gates[index][0, 0].numpy(), rtol=1e-5)
            closed = argmax(model.decode(images, closed=[index]).main)[0].numpy()
            assert (gate.closed == closed).mean() > 0.999
    assert any((gate.closed != decoding.prediction).any() for gate in decoding.gates)
    assert calls == [(done, 5) for done in range(1, 6)]


@pytest.mark.parametrize("name", ["lau", "lau, an offset per class"])
def test_offsets_are_those_of_the_predicted_class(name, scenes):
    model = build(name)
    decoding = decode_image(model, pixels(scenes), None, lambda done, runs: None)
    images = decoded(model, pixels(scenes))
    with torch.inference_mode():
        features = model.head(model.backbone(images))
        coarse = model.upsampler.offsets(features)
        offsets = torch.nn.functional.interpolate(coarse, SIZE, mode="bilinear")[0].numpy()
        zero = torch.nn.functional.interpolate(model.classifier(features), coarse.shape[2:], mode="bilinear")
        before = torch.nn.functional.interpolate(zero, SIZE, mode="bilinear").argmax(1)[0].numpy()
    groups = len(offsets) // 2
    for y in range(0, SIZE[0], 5):
        for x in range(0, SIZE[1], 5):
            group = int(decoding.prediction[y, x]) if groups > 1 else 0
            expected = offsets[2 * group : 2 * group + 2, y, x]
            np.testing.assert_allclose(decoding.offsets.field[:, y, x], expected, rtol=1e-4, atol=1e-5)
    assert (decoding.offsets.before == before).mean() > 0.999  # ties aside
    assert decoding.offsets.stride == SIZE[0] / 6


def test_models_without_names_number_their_classes():
    assert class_set(build("plain", classes=3)).names == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/images", "--labels", "{}/nowhere"], "labels: expected a file or a folder, .*nowhere does not exist"),
        (["{}/images", "--labels", "{}/images/scene 0.png"], "labels: expected a folder for 2 images, got the file"),
        (["{}/images", "--labels", "{}"], "labels: nothing in .* for scene 0, scene 1; looked for .png"),
        (["{}/none"], "images: nothing found for"),
        (
            ["{}/images/scene 0.png", "--labels", "{}/images/scene 1.png"],
            "1 of 1 images could not be drawn: labels .*: ",
        ),
        (["{}/text.png"], "1 of 1 images could not be drawn: file .*text.png: cannot be decoded"),
    ],
)
def test_bad_input_is_one_line(arguments, message, scenes, capsys):
    (scenes / "text.png").write_text("no picture")
    code = run(scenes, "plain", *(argument.replace("{}", str(scenes)) for argument in arguments))
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(lines) == 1
    assert re.match(f"offstride: {message}", lines[0]), lines[0]


def test_labels_of_another_size_or_class_are_named_and_the_rest_is_drawn(scenes, capsys):
    save_label_png(scenes / "labels" / "scene 0.png", np.zeros((3, 3), np.uint8), STREETS.palette)
    assert run(scenes, "plain", str(scenes / "images"), "--labels", str(scenes / "labels")) == 2
    out, err = capsys.readouterr()
    assert "1 images drawn" in out
    assert r"scene 0.png: expected the size of the image, (41, 54), got (3, 3)" in err
    assert (scenes / "out" / "scene 1" / "prediction.png").is_file()
