"""Layers of before and after: colours, what changes, the close-up."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from offstride.visualize.sharpening.layers import (
    CHANGES,
    BeforeAfter,
    change_layer,
    label_layer,
    photograph,
)

PALETTE = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]


def opened(uri):
    kind, _, content = uri.partition(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(content)))


def picture(label=True, size=(4, 6)):
    before = np.zeros(size, np.uint8)
    after, truth = before.copy(), before.copy()
    after[0, :5] = (1, 1, 1, 1, 0)
    truth[0, :5] = (1, 0, 2, 255, 2)
    return BeforeAfter("gains", "a", np.full((*size, 3), 90, np.uint8), before, after, truth if label else None)


def test_a_pixel_that_changes_is_right_wrong_still_wrong_or_unknown():
    assert picture().changes()[0].tolist() == [1, 2, 3, 4, 0, 0]
    assert picture().changes()[1:].sum() == 0
    assert list(CHANGES) == ["right now", "wrong now", "still wrong", "unknown"]
    assert picture().shares() == dict.fromkeys(CHANGES, 1 / 24)
    assert picture(label=False).shares() == {"right now": 0, "wrong now": 0, "still wrong": 0, "unknown": 4 / 24}


def test_the_changes_have_their_colours_and_the_rest_is_clear():
    kind, layer = opened(change_layer(picture()))
    pixels = np.asarray(layer.convert("RGBA"))
    assert kind == "data:image/png"
    assert [tuple(pixel) for pixel in pixels[0, :4, :3].tolist()] == list(CHANGES.values())
    assert pixels[0, :4, 3].tolist() == [255] * 4
    assert not pixels[1:, :, 3].any()


def test_classes_are_transparent_colours_and_ignored_pixels_are_clear():
    label = np.array([[0, 1, 255, 2]] * 3, np.uint8)
    pixels = np.asarray(opened(label_layer(label, PALETTE, borders=False))[1].convert("RGBA"))
    assert pixels[0, 0].tolist()[:3] == [200, 0, 0]
    assert pixels[0, 1].tolist()[:3] == [0, 200, 0]
    assert 0 < pixels[0, 0, 3] < 255
    assert pixels[0, 2, 3] == 0
    lined = np.asarray(opened(label_layer(label, PALETTE))[1].convert("RGBA"))
    assert lined[0, 0].tolist()[:3] == [255, 255, 255]
    assert lined[0, 3].tolist() == pixels[0, 3].tolist()


def test_many_classes_need_no_palette():
    label = np.arange(255, dtype=np.uint8).reshape(5, 51)
    palette = [(index, 255 - index, 7) for index in range(255)]
    pixels = np.asarray(opened(label_layer(label, palette, borders=False))[1].convert("RGBA"))
    assert pixels[0, 3].tolist()[:3] == [3, 252, 7]


def test_large_pictures_become_smaller_and_keep_single_changes():
    size = (90, 1000)
    before = np.zeros(size, np.uint8)
    after = before.copy()
    after[45, 501] = 1
    large = BeforeAfter("yours", "a", np.zeros((*size, 3), np.uint8), before, after)
    layer = opened(change_layer(large, 250))[1]
    assert layer.size == (250, 22)
    assert np.asarray(layer.convert("RGBA"))[45 // 4, 501 // 4, 3] == 255
    assert opened(photograph(large.image, 500))[1].size == (500, 45)
    assert opened(photograph(large.image, 2000))[1].size == (1000, 90)
    assert opened(label_layer(after, PALETTE, 500))[1].size == (500, 45)


def test_the_closeup_is_where_most_changes():
    box = picture(size=(16, 24)).closeup()
    assert (box.height, box.width) == (4, 6)
    part = picture(size=(16, 24)).cut(box)
    assert (part.before != part.after).sum() == 4
    assert part.image.shape == (4, 6, 3)


def test_bad_pictures_are_named():
    maps = np.zeros((4, 6), np.uint8)
    with pytest.raises(ValueError, match=r"group: expected one of .*'typical'.*, got 'best'"):
        BeforeAfter("best", "a", np.zeros((4, 6, 3), np.uint8), maps, maps)
    with pytest.raises(ValueError, match="image beside after of 'a'"):
        BeforeAfter("gains", "a", np.zeros((4, 6, 3), np.uint8), maps, maps[:2])
