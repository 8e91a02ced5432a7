"""Several scales and the mirror image, against plain loops."""

from typing import get_args

import pytest
import torch
from protocol_loops import Crooked, scales
from torch import nn

from offstride import create_model
from offstride.field import LogitField, argmax
from offstride.inference import (
    DEEPLABV3_SCALES,
    GFF_SCALES,
    InferenceProtocol,
    predict_averaged,
    predict_whole,
    scaled_size,
)
from offstride.inference.whole import Reduce


@pytest.mark.parametrize(
    "options",
    [
        {"scales": (1.0,), "flip": True},
        {"scales": DEEPLABV3_SCALES, "flip": True},
        {"scales": GFF_SCALES, "window": (10, 12)},
        {"scales": (0.5, 2.0), "window": (16, 16), "flip": True, "overlap": 0.5},
        {"scales": (0.75, 1.0), "base": 40, "flip": True},
        {"scales": (1.0,), "base": 9},
    ],
)
@pytest.mark.parametrize("size", [(20, 30), (17, 13)])
@pytest.mark.parametrize("reduce", ["probabilities", "scores"])
def test_it_equals_plain_loops(options, size, reduce):
    predict, image = Crooked(), torch.randn(2, 3, *size)
    written_out = {("factors" if name == "scales" else name): value for name, value in options.items()}
    with torch.no_grad():
        expected = scales(predict, image, **written_out, probabilities=reduce == "probabilities")
    expected = expected if reduce == "probabilities" else expected.softmax(1)
    field = predict_averaged(predict, image, **options, reduce=reduce)
    torch.testing.assert_close(field.probabilities, expected, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(field.probabilities.sum(1), torch.ones(2, *size))


def test_scale_one_alone_is_the_whole_prediction():
    predict, image = Crooked(), torch.randn(1, 3, 15, 22)
    whole = predict_whole(predict, image).dense()
    assert torch.equal(predict_averaged(predict, image).probabilities, whole.softmax(1))


def test_flip_of_flip():
    predict, image = Crooked(), torch.randn(1, 3, 15, 22)
    field = predict_averaged(predict, image, scales=(0.5, 1), flip=True).probabilities
    mirrored = predict_averaged(predict, image.flip(3), scales=(0.5, 1), flip=True).probabilities.flip(3)
    torch.testing.assert_close(field, mirrored)
    assert not torch.allclose(field, predict_averaged(predict, image, scales=(0.5, 1)).probabilities)


def test_a_constant_image_gives_a_constant_map():
    image = torch.ones(1, 3, 13, 19)
    field = predict_averaged(nn.Conv2d(3, 4, 1), image, scales=DEEPLABV3_SCALES, flip=True, window=(6, 5))
    first = field.probabilities[:, :, :1, :1]
    torch.testing.assert_close(field.probabilities, first.expand_as(field.probabilities))


@pytest.mark.parametrize(
    ("size", "scale", "base", "expected"),
    [
        ((513, 513), 0.5, None, (257, 257)),
        ((375, 500), 1.75, None, (656, 875)),
        ((375, 500), 1, 520, (390, 520)),
        ((500, 375), 0.5, 520, (260, 195)),
        ((1, 100), 0.01, None, (1, 1)),
    ],
)
def test_sizes(size, scale, base, expected):
    assert scaled_size(size, scale, base) == expected


def test_whole_images_are_rendered_in_bands(monkeypatch):
    model = create_model(backbone="test_resnet", classes=5, upsampler="lau", head_options={"channels": 16}).eval()
    image = torch.randn(1, 3, 66, 47)
    options = {"scales": (0.5, 1.0), "flip": True}
    rendered = predict_averaged(model, image, **options)
    monkeypatch.setattr("offstride.field.BAND_BYTES", 4 * 5 * 47 * 7)
    monkeypatch.setattr(LogitField, "dense", lambda self: pytest.fail("dense() was called"))
    field = predict_averaged(model.field, image, **options)
    assert len(list(field.bands())) == 10
    torch.testing.assert_close(field.probabilities, rendered.probabilities)


def test_bfloat16_and_one_class():
    image = torch.randn(1, 3, 14, 11)
    field = predict_averaged(nn.Conv2d(3, 1, 1), image, scales=(0.5, 1), flip=True)
    torch.testing.assert_close(field.probabilities, torch.ones(1, 1, 14, 11))
    rough = predict_averaged(nn.Conv2d(3, 4, 1).bfloat16(), image.bfloat16(), scales=(0.5, 1))
    assert rough.probabilities.dtype == torch.float32
    torch.testing.assert_close(rough.probabilities.sum(1), torch.ones(1, 14, 11))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scales": ()}, "scales: expected"),
        ({"scales": (1, 0)}, "scales: expected"),
        ({"scales": (float("nan"),)}, "scales: expected"),
        ({"base": 0}, "base: expected"),
        ({"reduce": "mean"}, "reduce: expected"),
        ({"window": (3, 0)}, "window: expected"),
        ({"window": (3, 3), "overlap": 1.0}, "overlap: expected"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        predict_averaged(Crooked(), torch.randn(1, 3, 8, 8), **arguments)
    with pytest.raises(ValueError, match=message):
        InferenceProtocol(**arguments)


@pytest.mark.parametrize("reduce", get_args(Reduce))
def test_a_protocol_asks_as_it_says(reduce):
    predict, image = Crooked(), torch.randn(1, 3, 20, 24)
    protocol = InferenceProtocol((0.5, 1.0), flip=True, window=(12, 12), overlap=0.25, base=30, reduce=reduce)
    options = {"scales": (0.5, 1.0), "flip": True, "window": (12, 12), "overlap": 0.25, "base": 30, "reduce": reduce}
    field = protocol.field(predict, image)
    assert torch.equal(field.dense(), predict_averaged(predict, image, **options).dense())
    assert str(protocol) == "scales 0.5 1, longer side 30, flip, windows 12×12, overlap 0.25"


def test_a_plain_protocol_keeps_the_field():
    predict, image = Crooked(), torch.randn(1, 3, 20, 24)
    field = InferenceProtocol().field(predict, image)
    assert field.values.shape == (1, 5, 10, 12)
    assert torch.equal(argmax(field), argmax(predict_whole(predict, image)))
    assert str(InferenceProtocol()) == ""


@pytest.mark.parametrize("options", [{"window": (12, 12)}, {"flip": True}, {"base": 30}, {"scales": (0.5,)}])
def test_each_option_alone_is_followed(options):
    predict, image = Crooked(), torch.randn(1, 3, 20, 24)
    scores = InferenceProtocol(**options).field(predict, image).dense()
    assert torch.equal(scores, predict_averaged(predict, image, **{"scales": (1.0,), **options}).dense())
    assert not torch.allclose(scores, predict_whole(predict, image).dense().softmax(1), atol=1e-3)
