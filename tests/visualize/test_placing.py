import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offstride.visualize.placing import place_labels, shorten, spread, text_width

LENGTHS = st.floats(0, 300, allow_nan=False)


@given(st.lists(LENGTHS, min_size=1, max_size=14), st.floats(0, 40))
def test_spread_keeps_apart_in_order_and_inside(places, gap):
    moved = spread(places, gap, 0, 300)
    room = min(gap, 300 / max(len(places) - 1, 1))
    order = sorted(range(len(places)), key=lambda index: places[index])
    assert all(moved[b] - moved[a] >= room - 1e-6 for a, b in itertools.pairwise(order))
    assert min(moved) >= -1e-6
    assert max(moved) <= 300 + 1e-6


def test_spread_moves_only_what_touches():
    assert spread([10, 12, 100], 8, 0, 300) == [7, 15, 100]
    assert spread([1, 2], 8, 0, 300) == [0, 8]
    assert spread([50.0, 200.0], 8, 0, 300) == [50, 200]


def box(label):
    half = text_width(label.text) / 2
    return label.x - half, label.y - 10.5, label.x + half, label.y + 3.5


@pytest.mark.parametrize("seed", range(6))
def test_labels_lie_on_nothing(seed):
    """Twelve points, most of them close together."""
    random = np.random.default_rng(seed)
    points = [tuple(place) for place in random.normal((120, 120), (30, 40), (12, 2)).clip(0, 240)]
    texts = [f"method {index}" for index in range(12)]
    labels = place_labels(points, texts, (0, 0, 290, 240))
    boxes = [box(label) for label in labels]
    assert [label.text for label in labels] == texts
    for one, other in itertools.combinations(boxes, 2):
        assert not (
            one[0] < other[2] - 1e-6
            and other[0] < one[2] - 1e-6
            and one[1] < other[3] - 1e-6
            and other[1] < one[3] - 1e-6
        )
    for (left, top, right, bottom), (x, y) in itertools.product(boxes, points):
        assert not (left < x < right and top < y < bottom)
    for left, top, right, bottom in boxes:
        assert left >= -1e-6
        assert top >= -1e-6
        assert right <= 290 + 1e-6
        assert bottom <= 240 + 1e-6


def test_a_lonely_point_has_its_label_beside_it():
    (label,) = place_labels([(50, 50)], ["lau"], (0, 0, 200, 100))
    left, top, _, bottom = box(label)
    assert left == pytest.approx(58)
    assert (top + bottom) / 2 == pytest.approx(50)
    assert label.leader is None


def test_long_names_lose_their_middle():
    assert shorten("bilinear", 8) == "bilinear"
    assert shorten("abcdefghij", 7) == "abc…hij"
    assert len(shorten("x" * 50, 18)) == 18
