"""`Segmenter.predict`: images in every form, of any size."""

import numpy as np
import pytest
import torch
from PIL import Image

from offstride.cli.main import main
from offstride.data import ImageWindows, normalize
from offstride.field import argmax, confidence
from offstride.inference import InferenceProtocol
from offstride.models import create_model


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    options = {"head_options": {"channels": 16}, "upsampler": "lau", "upsampler_options": {"hidden": 8}}
    return create_model(backbone="test_resnet", classes=5, **options).eval()


def noise(*size):
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)


@torch.no_grad()
def plain(model, pixels, protocol=InferenceProtocol()):  # noqa: B008 - frozen
    images = normalize(torch.from_numpy(pixels).permute(2, 0, 1), model.mean, model.std)[None]
    field = protocol.field(model.field, images)
    return argmax(field)[0], confidence(field)[0]


OPTIONS = [
    ({}, InferenceProtocol(), []),
    ({"sliding": (32, 48)}, InferenceProtocol(window=(32, 48)), ["--sliding", "32", "48"]),
    (
        {"sliding": (32, 32), "overlap": 0.5, "flip": True, "scales": (0.5, 1.5), "base": 80},
        InferenceProtocol((0.5, 1.5), True, (32, 32), 0.5, 80),
        ["--sliding", "32", "32", "--overlap", "0.5", "--flip", "--scales", "0.5", "1.5", "--base", "80"],
    ),
]


@pytest.mark.parametrize(("options", "protocol", "arguments"), OPTIONS, ids=["whole", "windows", "scales"])
def test_labels_are_those_of_the_field_and_of_the_command(model, tmp_path, options, protocol, arguments):
    pixels = noise(67, 91, 3)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    labels, sure = model.predict(tmp_path / "image.png", confidence=True, **options)
    expected, probability = plain(model, pixels, protocol)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels, expected)
    torch.testing.assert_close(sure, probability)
    assert torch.equal(model.predict(pixels, **options), labels)
    model.save(tmp_path / "model.safetensors")
    where = [str(tmp_path / "model.safetensors"), str(tmp_path / "image.png"), f"--output={tmp_path}", *arguments]
    assert main(["predict", *where, "--overlays=false"]) == 0
    with Image.open(tmp_path / "image.png") as written:
        assert np.array_equal(np.array(written), labels.numpy())


def test_all_forms_of_an_image_agree(model, tmp_path):
    pixels = noise(40, 53, 3)
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    alpha = np.concatenate([pixels, noise(40, 53, 1)], 2)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    forms = [path, str(path), Image.fromarray(pixels), pixels, np.asfortranarray(pixels), tensor, alpha]
    forms += [Image.fromarray(alpha), torch.from_numpy(alpha).permute(2, 0, 1)]
    first, *others = model.predict(forms)
    assert len(first.unique()) > 1
    assert all(torch.equal(other, first) for other in others)
    first, *others = model.predict(tuple(forms), sliding=(32, 32))
    assert all(torch.equal(other, first) for other in others)


def test_grey_is_repeated(model):
    grey = noise(33, 47)
    expected = model.predict(np.repeat(grey[..., None], 3, 2))
    forms = [grey, torch.from_numpy(grey), Image.fromarray(grey)]
    assert all(torch.equal(each, expected) for each in model.predict(forms))


def test_pillow_images_are_turned_upright_as_files_are(model, tmp_path):
    path = tmp_path / "image.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(noise(40, 53, 3)).save(path, exif=exif)
    with Image.open(path) as image:
        labels = model.predict(image)
    assert labels.shape == (53, 40)
    assert torch.equal(labels, model.predict(path))


@pytest.mark.parametrize("size", [(1, 1), (1, 65), (31, 17)])
def test_a_list_may_hold_images_of_any_sizes(model, size):
    images = [noise(*size, 3), noise(37, 21, 3)]
    pairs = model.predict(images, confidence=True)
    assert [labels.shape for labels, _ in pairs] == [size, (37, 21)]
    for image, (labels, sure) in zip(images, pairs, strict=True):
        expected, probability = plain(model, image)
        assert torch.equal(labels, expected)
        torch.testing.assert_close(sure, probability)


def test_modes_come_back_and_results_are_plain_tensors():
    model = create_model(backbone="test_resnet", classes=3).train()
    model.backbone.eval()
    before = [module.training for module in model.modules()]
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    labels, sure = model.predict(noise(32, 32, 3), confidence=True)
    assert [module.training for module in model.modules()] == before
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in model.named_buffers())
    assert not sure.requires_grad
    assert not labels.is_inference()
    with pytest.raises(ValueError, match="does not exist"):
        model.predict("/nonexistent.png")
    assert [module.training for module in model.modules()] == before


def test_large_files_are_read_and_labelled_in_windows(model, tmp_path, monkeypatch):
    pixels = noise(90, 70, 3)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    seen, read = [], ImageWindows.__getitem__
    monkeypatch.setattr(ImageWindows, "__getitem__", lambda self, key: seen.append(key) or read(self, key))
    labels = model.predict(tmp_path / "image.png", sliding=(32, 32))
    assert all(rows.stop - rows.start == columns.stop - columns.start == 32 for rows, columns in seen)
    assert len(seen) == 4 * 3
    assert torch.equal(labels, plain(model, pixels, InferenceProtocol(window=(32, 32)))[0])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([], "image: expected at least one"),
        (np.zeros((4, 4, 3), np.float32), "image: expected uint8, got float32"),
        (torch.zeros(3, 4, 4), r"image: expected uint8, got torch.float32"),
        (torch.zeros(3, 4, 4, dtype=torch.int8), r"image: expected uint8, got torch.int8"),
        (np.zeros((4, 4, 2), np.uint8), r"image: expected \(H, W, 3\), or \(H, W\) for grey, got \(4, 4, 2\)"),
        (torch.zeros(8, 9, 3, dtype=torch.uint8), r"image: expected \(3, H, W\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), r"image: expected \(3, H, W\)"),
        (np.zeros((0, 4, 3), np.uint8), r"image: expected \(H, W, 3\)"),
        (Image.new("F", (4, 4)), "image: expected integers"),
        (7, "image: expected a path"),
        ("/nonexistent.png", "/nonexistent.png"),
    ],
)
def test_bad_images(model, image, message):
    with pytest.raises(ValueError, match=message):
        model.predict(image)


def test_bad_options(model):
    with pytest.raises(ValueError, match="window: expected"):
        model.predict(noise(4, 4, 3), sliding=(0, 4))
    with pytest.raises(ValueError, match="scales: expected"):
        model.predict(noise(4, 4, 3), scales=())
