"""`offstride predict`: windows, scales, strides and submissions."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from offstride.cli.main import main
from offstride.data import ClassSet, normalize
from offstride.evaluate import label_map
from offstride.inference import InferenceProtocol
from offstride.models import Segmenter, create_model
from offstride.visualize import overlay


def small_model(path, classes):
    torch.manual_seed(0)
    options = {"head_options": {"channels": 16}, "upsampler": "lau", "upsampler_options": {"hidden": 8}}
    create_model(backbone="test_resnet", classes=classes, **options).save(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("model") / "m.safetensors", ClassSet(("a", "b", "c", "d")))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in ("one", "two", "three"):
        Image.fromarray(generator.integers(0, 256, (70, 90, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def predicted(path):
    with Image.open(path) as image:
        return np.array(image)


def expected(checkpoint, path, protocol, **options):
    model = Segmenter.load(checkpoint, **options)
    pixels = torch.from_numpy(predicted(path)).permute(2, 0, 1)
    return label_map(model, normalize(pixels, model.mean, model.std)[None], protocol)[0].numpy()


@pytest.mark.parametrize(
    ("arguments", "protocol", "options"),
    [
        ([], InferenceProtocol(), {}),
        (["--output-stride", "8"], InferenceProtocol(), {"output_stride": 8}),
        (["--scales", "0.5", "1.0", "--flip"], InferenceProtocol((0.5, 1.0), flip=True), {}),
        (["--sliding", "32", "48", "--flip"], InferenceProtocol(flip=True, window=(32, 48)), {}),
        (
            ["--sliding", "32", "48", "--overlap", "0.5", "--scales", "1.5", "--base", "80"],
            InferenceProtocol((1.5,), window=(32, 48), overlap=0.5, base=80),
            {},
        ),
    ],
)
def test_images_are_predicted_as_asked(tmp_path, checkpoint, images, arguments, protocol, options):
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), str(images / "one.png"), f"--output={out}", *arguments]) == 0
    assert np.array_equal(predicted(out / "one.png"), expected(checkpoint, images / "one.png", protocol, **options))
    assert {path.name for path in out.iterdir()} == {"one.png", "one_overlay.jpg"}


@pytest.mark.parametrize(("arguments", "windows"), [([], 3 * 3), (["--overlap=0.75"], 6 * 5), (["--overlap=0"], 3 * 2)])
def test_windows_overlap_as_asked(tmp_path, checkpoint, images, monkeypatch, arguments, windows):
    """70×90 pixels in windows of 32×48; the last ones are shifted inside."""
    seen, field = [], Segmenter.field
    monkeypatch.setattr(Segmenter, "field", lambda self, image: seen.append(image.shape[2:]) or field(self, image))
    where = ["--sliding", "32", "48", f"--output={tmp_path / 'out'}"]
    assert main(["predict", str(checkpoint), str(images / "one.png"), *where, *arguments]) == 0
    assert seen == [(32, 48)] * windows


@pytest.mark.parametrize(("arguments", "alpha"), [([], 0.55), (["--alpha=0.95"], 0.95), (["--alpha=0.1"], 0.1)])
def test_overlays_are_as_opaque_as_asked(tmp_path, checkpoint, arguments, alpha):
    pixels, out = np.full((64, 96, 3), (200, 220, 90), np.uint8), tmp_path / "out"
    Image.fromarray(pixels).save(tmp_path / "one.png")
    assert main(["predict", str(checkpoint), str(tmp_path / "one.png"), f"--output={out}", *arguments]) == 0
    palette = Segmenter.load(checkpoint).classes.palette
    expected_pixels = overlay(pixels, predicted(out / "one.png"), palette, alpha=alpha)
    assert abs(predicted(out / "one_overlay.jpg").astype(float) - expected_pixels).mean() < 3  # JPEG's own loss


def test_arrays_on_disk_and_no_overlays(tmp_path, checkpoint, images):
    out, array = tmp_path / "out", tmp_path / "one.npy"
    np.save(array, predicted(images / "one.png"))
    where = [f"--output={out}", "--overlays=false", "--sliding", "32", "32"]
    assert main(["predict", str(checkpoint), str(array), *where]) == 0
    assert [path.name for path in out.iterdir()] == ["one.png"]
    protocol = InferenceProtocol(window=(32, 32))
    assert np.array_equal(predicted(out / "one.png"), expected(checkpoint, images / "one.png", protocol))


def test_a_submission(tmp_path, images, capsys):
    checkpoint = small_model(tmp_path / "voc.safetensors", 21)
    names = tmp_path / "test.txt"
    names.write_text("two\none\n")
    archive = tmp_path / "results.zip"
    where = [f"--output={archive}", "--submission=voc2012", f"--list={names}"]
    assert main(["predict", str(checkpoint), str(images), *where]) == 0
    assert str(archive) in capsys.readouterr().out
    place = "results/VOC2012/Segmentation/comp6_test_cls"
    with zipfile.ZipFile(archive) as content:
        assert content.namelist() == [f"{place}/two.png", f"{place}/one.png"]
        with content.open(f"{place}/one.png") as file, Image.open(file) as image:
            labels = np.array(image)
    assert np.array_equal(labels, expected(checkpoint, images / "one.png", InferenceProtocol()))
    assert not (tmp_path / "predictions").exists()


def complaint(capsys):
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("offstride: ")
    return text


def test_a_submission_with_a_bad_image_is_not_written(tmp_path, images, capsys):
    checkpoint = small_model(tmp_path / "voc.safetensors", 21)
    (images / "two.png").write_bytes(b"no image")
    where = [f"--output={tmp_path / 'results.zip'}", "--submission=voc2012"]
    assert main(["predict", str(checkpoint), str(images), *where]) == 2
    assert "two.png" in complaint(capsys)
    assert not (tmp_path / "results.zip").exists()


@pytest.mark.parametrize("workers", [["--sliding", "32", "32"], []])
def test_a_bad_image_is_left_out(tmp_path, checkpoint, images, capsys, workers):
    (images / "two.png").write_bytes(b"no image")
    assert main(["predict", str(checkpoint), str(images), f"--output={tmp_path / 'out'}", *workers]) == 2
    assert "1 of 3 images" in complaint(capsys)
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--scales", "0"], "scales"),
        (["--scales", "big"], "scales"),
        (["--sliding", "32"], "sliding"),
        (["--sliding", "0", "32"], "window"),
        (["--overlap", "1"], "overlap"),
        (["--base", "0"], "base"),
        (["--output-stride", "7"], "output_stride"),
        (["--submission", "imagenet"], "voc2012"),
        (["--submission", "ade20k"], "150"),
        (["--list", "/nonexistent.txt"], "/nonexistent.txt"),
    ],
)
def test_bad_options_are_one_line(tmp_path, checkpoint, images, capsys, arguments, named):
    assert main(["predict", str(checkpoint), str(images), f"--output={tmp_path / 'out'}", *arguments]) == 2
    assert named in complaint(capsys)


def test_a_list_with_a_stranger(tmp_path, checkpoint, images, capsys):
    names = tmp_path / "test.txt"
    names.write_text("one\nfour\n")
    assert main(["predict", str(checkpoint), str(images), f"--list={names}"]) == 2
    assert "four" in complaint(capsys)
