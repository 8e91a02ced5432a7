"""Where windows lie."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride.inference.windows import Grid, tiles, window_starts, window_stride


@pytest.mark.parametrize(
    ("window", "overlap", "stride"),
    [(480, 1 / 3, 320), (713, 1 / 3, 476), (100, 0.29, 71), (7, 0, 7), (8, 0.999999, 1), (1, 0.5, 1), (512, 0.5, 256)],
)
def test_strides(window, overlap, stride):
    assert window_stride(window, overlap) == stride


def test_the_last_window_is_shifted_inside():
    assert window_starts(1000, 480, 1 / 3) == [0, 320, 520]
    assert window_starts(1120, 480, 1 / 3) == [0, 320, 640]
    assert window_starts(480, 480, 1 / 3) == [0]
    assert window_starts(481, 480, 0) == [0, 1]


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    window=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    overlap=st.sampled_from([0, 0.1, 1 / 3, 0.5, 0.75, 0.99]),
)
def test_tiles_cover_the_image_once_in_order_and_hold_the_mean(size, window, overlap):
    window = min(window[0], size[0]), min(window[1], size[1])
    grid = Grid(size, window, overlap)
    values = torch.rand(1, 2, *size, dtype=torch.float64)
    looks = []

    def look(top, left):
        looks.append((top, left))
        return values[:, :, top : top + window[0], left : left + window[1]].clone()

    actual, order = torch.full_like(values, torch.nan), []
    for top, left, part in tiles(look, grid):
        place = actual[:, :, top : top + part.shape[2], left : left + part.shape[3]]
        assert place.isnan().all()
        place.copy_(part)
        order.append((top, left))
    torch.testing.assert_close(actual, values)
    assert order == sorted(order)
    assert sorted(looks) == [(top, left) for top in grid.tops for left in grid.lefts]
