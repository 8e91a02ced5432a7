import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from offstride.visualize import class_borders, colorize, compare_errors, overlay, save_label_png
from offstride.visualize.masks import BROKEN, FIXED, MISSED

PALETTE = ((10, 20, 30), (200, 0, 0), (0, 0, 250))
LABEL = np.array([[0, 0, 1], [2, 255, 1]], dtype=np.uint8)
IMAGE = np.full((2, 3, 3), 100, dtype=np.uint8)

label_maps = arrays(
    np.uint8,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.sampled_from([0, 1, 2, 255]),
)


def test_colorize_paints_classes_and_ignored():
    expected = [[PALETTE[0], PALETTE[0], PALETTE[1]], [PALETTE[2], (1, 2, 3), PALETTE[1]]]
    for dtype in (np.uint8, np.int64):
        picture = colorize(LABEL.astype(dtype), PALETTE, ignored=(1, 2, 3))
        assert picture.dtype == np.uint8
        assert picture.tolist() == np.array(expected).tolist()


@given(label_maps)
def test_borders_lie_where_the_right_or_lower_neighbour_differs(label):
    borders = class_borders(label)
    for (y, x), drawn in np.ndenumerate(borders):
        right = x + 1 < label.shape[1] and label[y, x] != label[y, x + 1]
        below = y + 1 < label.shape[0] and label[y, x] != label[y + 1, x]
        assert drawn == (right or below)


def test_overlay_mixes_colours_and_leaves_ignored_pixels():
    picture = overlay(IMAGE, LABEL, PALETTE, alpha=0.25, edges=False)
    assert picture[0, 0].tolist() == np.rint(0.75 * 100 + 0.25 * np.array(PALETTE[0])).tolist()
    assert picture[1, 1].tolist() == [100, 100, 100]
    assert np.array_equal(overlay(IMAGE, LABEL, PALETTE, alpha=0, edges=False), IMAGE)


def test_overlay_draws_borders_lighter():
    plain, edged = (overlay(IMAGE, LABEL, PALETTE, edges=edges).astype(int) for edges in (False, True))
    assert np.array_equal((edged > plain).all(2), class_borders(LABEL))
    assert np.array_equal(edged[~class_borders(LABEL)], plain[~class_borders(LABEL)])


def test_errors_show_who_is_wrong():
    label = np.array([[0, 0, 0, 0, 255]])
    before, after = np.array([[0, 1, 0, 1, 1]]), np.array([[0, 0, 1, 2, 0]])
    picture = compare_errors(np.zeros((1, 5, 3), dtype=np.uint8), before, after, label).astype(int)
    right, fixed, broken, missed, ignored = picture[0]
    assert right.tolist() == ignored.tolist() == [140, 140, 140]
    assert np.abs(fixed - FIXED).max() < 10
    assert np.abs(broken - BROKEN).max() < 10
    assert missed.tolist() == np.rint(0.45 * 140 + 0.55 * np.array(MISSED)).tolist()


def test_label_png_keeps_values_and_colours(tmp_path):
    path = tmp_path / "new" / "label.png"
    save_label_png(path, LABEL.astype(np.int64), PALETTE)
    with Image.open(path) as file:
        assert file.mode == "P"
        assert np.array_equal(np.asarray(file), LABEL)
        assert np.array_equal(np.asarray(file.convert("RGB")), colorize(LABEL, PALETTE))


def test_a_png_that_cannot_be_written_names_its_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"path: expected a file that can be written, got .*file.label\.png"):
        save_label_png(tmp_path / "file" / "label.png", LABEL, PALETTE)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.array([[0, 3, 7]]), r"label: expected 0 to 2 or 255, got \[3, 7\]"),
        (np.array([[-1]]), r"label: expected 0 to 2 or 255, got \[-1\]"),
        (np.zeros((2, 2)), r"label: expected integers \(H, W\), got float64 \(2, 2\)"),
        (np.zeros((1, 2, 2), dtype=np.uint8), r"label: expected integers \(H, W\), got uint8 \(1, 2, 2\)"),
    ],
)
def test_bad_labels_are_refused(label, message):
    with pytest.raises(ValueError, match=message):
        colorize(label, PALETTE)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"image: expected \(2, 3\) pixels, got \(4, 4\)"):
        overlay(np.zeros((4, 4, 3), dtype=np.uint8), LABEL, PALETTE)
    with pytest.raises(ValueError, match="image: expected uint8"):
        overlay(IMAGE / 255, LABEL, PALETTE)
    with pytest.raises(ValueError, match="alpha: expected 0 to 1, got 2"):
        overlay(IMAGE, LABEL, PALETTE, alpha=2)
    with pytest.raises(ValueError, match="palette: expected at most 255 colours, got 256"):
        colorize(LABEL, PALETTE[:1] * 256)
    with pytest.raises(ValueError, match=r"after: expected the shape of label \(2, 3\), got \(1, 3\)"):
        compare_errors(IMAGE, LABEL, LABEL[:1], LABEL)
