"""Coordinates against exact fractions."""

from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from offstride.ops.grid import (
    base_coordinates,
    check_origin,
    clamp_to_map,
    located_coordinates,
    nearest,
    neighbors,
    pixel_step,
    to_grid_sample,
)

ORIGINS = ("center", "corner", "aligned")
SIZES = st.integers(1, 300)


def exact(fine, coarse, origin):
    if origin == "aligned":
        return [i * Fraction(coarse - 1, max(fine - 1, 1)) for i in range(fine)]
    shift = Fraction(1, 2) if origin == "center" else 0
    return [(i + shift) * Fraction(coarse, fine) - shift for i in range(fine)]


@given(SIZES, SIZES, st.sampled_from(ORIGINS), st.data())
def test_coordinates_and_neighbours_are_the_exact_ones(fine, coarse, origin, data):
    start = data.draw(st.integers(0, fine - 1))
    stop = data.draw(st.integers(start + 1, fine))
    places = exact(fine, coarse, origin)[start:stop]
    low, high = neighbors(fine, coarse, origin, rows=(start, stop))
    assert low.tolist() == [min(max(floor(c), 0), coarse - 1) for c in places]
    assert high.tolist() == [min(max(ceil(c), 0), coarse - 1) for c in places]
    for dtype in (torch.float32, torch.float64):
        found = base_coordinates(fine, coarse, origin, rows=(start, stop), dtype=dtype)
        assert found.dtype == dtype
        for value, c in zip(found.tolist(), places, strict=True):
            assert abs(value - c) <= 2 * torch.finfo(dtype).eps * max(1, abs(c))
            assert (value == floor(value)) == (c == floor(c))  # whole coordinates, and only these, are kinks


@given(SIZES, SIZES, st.sampled_from(("center", "corner")), st.data())
def test_nearest_is_torchs(fine, coarse, origin, data):
    start = data.draw(st.integers(0, fine - 1))
    stop = data.draw(st.integers(start + 1, fine))
    mode = "nearest-exact" if origin == "center" else "nearest"
    expected = F.interpolate(torch.arange(coarse, dtype=torch.float64)[None, None], fine, mode=mode)[0, 0].long()
    assert torch.equal(nearest(fine, coarse, origin, rows=(start, stop)), expected[start:stop])


@given(SIZES, SIZES)
def test_nearest_of_aligned_maps_is_the_closest_pixel(fine, coarse):
    expected = [floor(place + Fraction(1, 2)) for place in exact(fine, coarse, "aligned")]
    assert nearest(fine, coarse, "aligned").tolist() == expected


@given(SIZES, SIZES, st.sampled_from(ORIGINS))
def test_neighbouring_pixels_are_a_step_apart(fine, coarse, origin):
    places = exact(fine, coarse, origin)
    for one, next in pairwise(places):
        assert pixel_step(fine, coarse, origin) == pytest.approx(float(next - one))


def test_unknown_origin_is_refused():
    with pytest.raises(ValueError, match=r"origin: expected .*'center'.*got 'middle'"):
        check_origin("middle")


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_located_coordinates_add_yx_pairs_to_the_base(origin, dtype):
    offsets = torch.randn(2, 6, 7, 9, dtype=torch.float64).to(dtype)
    found = located_coordinates(offsets, (3, 5), origin, rows=(2, 6))
    assert found.shape == (2, 3, 2, 4, 9)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    y = torch.tensor([float(c) for c in exact(7, 3, origin)][2:6], dtype=torch.float64)
    x = torch.tensor([float(c) for c in exact(9, 5, origin)], dtype=torch.float64)
    for m in range(3):
        torch.testing.assert_close(found[:, m, 0].double(), offsets[:, 2 * m, 2:6].double() + y[:, None])
        torch.testing.assert_close(found[:, m, 1].double(), offsets[:, 2 * m + 1, 2:6].double() + x)


def test_clamping_blocks_the_gradient_outside_only():
    y = torch.tensor([-1.0, 0.0, 1.5, 3.0, 3.5])
    coordinates = torch.stack((y, y))[:, None].requires_grad_()
    clamped = clamp_to_map(coordinates, (4, 3))
    clamped.sum().backward()
    assert clamped[:, 0].tolist() == [[0, 0, 1.5, 3, 3], [0, 0, 1.5, 2, 2]]
    assert coordinates.grad[:, 0].tolist() == [[0, 1, 1, 1, 0], [0, 1, 1, 0, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whole_coordinates_stay_in_the_interval_to_their_right(dtype):
    # What `grid_sample(align_corners=True)` makes of the normalised value, for every pixel of many sizes.
    for size in (*range(2, 300), 512, 513, 1024, 2047, 2048, 4096):
        whole = torch.arange(size, dtype=dtype)
        grid = to_grid_sample(torch.stack((whole, whole))[:, None], (size, size))[0]
        back = (grid + 1) / 2 * (size - 1)
        assert torch.equal(back.floor().clamp(max=size - 1), torch.stack((whole, whole), 1)), size
        assert (back - whole[:, None]).abs().max() < 4 * size * torch.finfo(dtype).eps  # the move is below rounding
