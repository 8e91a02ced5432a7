import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offstride.visualize import Box, busiest_box, magnify, mark


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 3)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_no_other_box_is_busier(weight, size):
    box = busiest_box(weight, size)
    height, width = min(size[0], weight.shape[0]), min(size[1], weight.shape[1])
    sums = {
        (y, x): weight[y : y + height, x : x + width].sum()
        for y in range(weight.shape[0] - height + 1)
        for x in range(weight.shape[1] - width + 1)
    }
    assert box == (*max(sums, key=lambda place: sums[place]), height, width)
    assert weight[box.window].sum() == max(sums.values())


def test_magnify_repeats_pixels():
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    large = magnify(picture, Box(1, 2, 2, 3), 4)
    assert large.shape == (8, 12, 3)
    for y, x in ((0, 0), (3, 4), (7, 11)):
        assert large[y, x].tolist() == picture[1 + y // 4, 2 + x // 4].tolist()
    assert magnify(picture[..., 0], Box(0, 0, 1, 1), 2).shape == (2, 2)


def test_mark_outlines_the_box_and_leaves_the_original():
    picture = np.full((8, 9, 3), 7, dtype=np.uint8)
    marked = mark(picture, Box(2, 3, 4, 5), (1, 2, 3))
    assert (picture == 7).all()
    inside = marked[2:6, 3:8].copy()
    assert (inside[[0, -1]] == (1, 2, 3)).all()
    assert (inside[:, [0, -1]] == (1, 2, 3)).all()
    assert (inside[1:-1, 1:-1] == 7).all()
    assert (marked[1, 2:9] == 0).all()
    assert (marked[0] == 7).all()


def test_mark_thickens_the_outline_inwards():
    marked = mark(np.full((9, 10, 3), 7, dtype=np.uint8), Box(2, 2, 5, 6), (1, 2, 3), thickness=2)
    assert (marked == (1, 2, 3)).all(2).sum() == 5 * 6 - 1 * 2
    assert (marked[4, 4:6] == 7).all()
    assert (marked == 0).all(2).sum() == 7 * 8 - 5 * 6


def test_mark_at_the_edge_draws_what_is_visible():
    marked = mark(np.full((4, 4, 3), 7, dtype=np.uint8), Box(0, 0, 4, 4), (9, 9, 9))
    assert (marked == 9).all(2).sum() == 12
    assert not (marked == 0).any()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"weight, size: .* got \(3,\) and \(1, 1\)"):
        busiest_box(np.zeros(3), (1, 1))
    with pytest.raises(ValueError, match=r"weight, size: .* got \(3, 3\) and \(0, 1\)"):
        busiest_box(np.zeros((3, 3)), (0, 1))
    with pytest.raises(ValueError, match="picture: expected uint8"):
        mark(np.zeros((4, 4)), Box(0, 0, 2, 2))
