import colorsys

import numpy as np
import pytest

from offstride.visualize import color_wheel, heatmap, offset_arrows, offset_colors, offset_limit


def directions(count):
    angles = np.arange(count) * 2 * np.pi / count
    return np.stack((np.sin(angles), np.cos(angles)))[:, None]


def hue(color):
    return colorsys.rgb_to_hsv(*(color / 255))[0]


def test_zero_is_white_and_longer_is_farther_from_white():
    lengths = np.linspace(0, 1, 6)
    for direction in directions(8)[:, 0].T:
        colors = offset_colors(direction[:, None, None] * lengths[None, None], limit=1)[0].astype(int)
        assert colors[0].tolist() == [255, 255, 255]
        assert (np.diff(np.linalg.norm(255 - colors, axis=1)) > 10).all()


def test_directions_have_hues_of_their_own_around_the_circle():
    hues = np.array([hue(color) for color in offset_colors(directions(24), limit=1)[0]])
    steps = np.diff(np.append(hues, hues[0])) % 1
    assert steps.sum() == pytest.approx(1)  # once around, never back
    assert steps.min() > 0.01


def test_hues_are_equally_light():
    linear = (offset_colors(directions(36), limit=1)[0] / 255) ** 2.2
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    assert luminance.max() - luminance.min() < 0.17


def test_longer_than_the_limit_looks_like_the_limit():
    offsets = directions(8)
    assert np.array_equal(offset_colors(3 * offsets, limit=1), offset_colors(offsets, limit=1))
    assert np.array_equal(offset_colors(2 * offsets, limit=2), offset_colors(offsets, limit=1))


def test_limit_leaves_outliers_out():
    offsets = np.zeros((2, 10, 100), dtype=np.float32)
    offsets[0], offsets[1] = 3, 4
    offsets[:, 0, 0] = 1000
    assert offset_limit(offsets) == pytest.approx(5)
    assert offset_limit(offsets, share=1) == pytest.approx(1000 * 2**0.5)
    assert np.array_equal(offset_colors(offsets), offset_colors(offsets, limit=5))


def test_offsets_that_are_all_zero_are_white():
    assert (offset_colors(np.zeros((2, 3, 4))) == 255).all()


def test_wheel_is_the_key():
    wheel = color_wheel(65)
    assert wheel.shape == (65, 65, 4)
    assert wheel[32, 32].tolist() == [255, 255, 255, 255]
    assert wheel[0, 0, 3] == 0
    down, right = (np.array([[[y]], [[x]]]) for y, x in ((60 / 65, 0.0), (0.0, 60 / 65)))
    assert wheel[62, 32, :3].tolist() == offset_colors(down, limit=1)[0, 0].tolist()
    assert wheel[32, 62, :3].tolist() == offset_colors(right, limit=1)[0, 0].tolist()


def test_arrows_point_where_pixels_read():
    image = np.zeros((20, 40, 3), dtype=np.uint8)
    offsets = np.zeros((2, 5, 10), dtype=np.float32)
    offsets[1, :, :5] = 1.5  # to the right, in the left half only
    picture = offset_arrows(image, offsets, stride=4, spacing=20, zoom=5, limit=1.5)
    assert picture.shape == (100, 200, 3)
    drawn = np.argwhere(picture.max(2) > 60)
    # One arrow, from the centre of the left half, six image pixels long; the one without offset is a speck.
    left = drawn[drawn[:, 1] < 100]
    assert left[:, 1].min() == pytest.approx(50, abs=3)
    assert left[:, 1].max() == pytest.approx(50 + 6 * 5, abs=3)
    assert left[:, 0].mean() == pytest.approx(50, abs=2)
    right = drawn[drawn[:, 1] >= 100]
    assert len(right) == 0 or np.ptp(right, axis=0).max() < 12
    downwards = offset_arrows(image, offsets[::-1].copy(), stride=4, spacing=20, zoom=5, limit=1.5)
    rows = np.argwhere(downwards[:, :100].max(2) > 60)[:, 0]
    assert (rows.min(), rows.max()) == (pytest.approx(50, abs=3), pytest.approx(80, abs=3))


def test_arrows_keep_the_picture_dimmed_below():
    image = np.full((16, 16, 3), 240, dtype=np.uint8)
    picture = offset_arrows(image, np.zeros((2, 4, 4)), stride=4, spacing=8, zoom=2)
    assert picture[0, 0].tolist() == [80, 80, 80]


def test_heatmap_brightens_with_the_value():
    picture = heatmap(np.array([[-2.0, 0.0, 1.0, 4.0]]))
    assert picture.shape == (1, 4, 3)
    assert (np.diff(picture.astype(int).sum(2)) > 0).all()
    assert np.array_equal(heatmap(np.array([[-9.0, 9.0]]), low=0, high=1), heatmap(np.array([[0.0, 1.0]])))
    assert (heatmap(np.zeros((2, 2))) == heatmap(np.array([[0.0, 1.0]]))[0, 0]).all()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"offsets: expected floats \(2, h, w\), got float64 \(3, 4, 4\)"):
        offset_colors(np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match=r"offsets: .* got int64 \(2, 4, 4\)"):
        offset_limit(np.zeros((2, 4, 4), dtype=np.int64))
    with pytest.raises(ValueError, match="image: expected uint8"):
        offset_arrows(np.zeros((4, 4)), np.zeros((2, 4, 4)), stride=1)
    with pytest.raises(ValueError, match=r"values: expected \(h, w\), got \(2,\)"):
        heatmap(np.zeros(2))
