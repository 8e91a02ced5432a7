import base64
import io

import numpy as np
from PIL import Image

from offstride.visualize.page import data_uri


def decode(uri):
    head, data = uri.split(",")
    file = Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == f"data:image/{file.format.lower()};base64"
    return file.format, np.asarray(file)


def test_label_maps_are_exact_and_enlarged():
    picture = np.random.default_rng(0).integers(0, 6, (30, 100, 1), dtype=np.uint8).repeat(3, 2) * 40
    kind, shown = decode(data_uri(picture))
    assert kind == "PNG"
    assert np.array_equal(shown, picture.repeat(5, 0).repeat(5, 1))


def test_photographs_are_compressed_at_their_size():
    ramp = np.linspace(0, 255, 96 * 128).reshape(96, 128).astype(np.uint8)
    picture = np.dstack((ramp, ramp[::-1], ramp[:, ::-1]))
    kind, shown = decode(data_uri(picture))
    assert kind == "JPEG"
    assert shown.shape == picture.shape
    assert np.abs(shown.astype(int) - picture).mean() < 4


def test_transparency_is_kept():
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 4), dtype=np.uint8)
    kind, shown = decode(data_uri(picture))
    assert kind == "PNG"
    assert np.array_equal(shown, picture)
