"""Crops on the grid of coarse maps: a pixel has the same coarse coordinate in the crop as in the whole image."""

from random import Random

import pytest
import torch

from offstride.data.coarse_grid import CoarseGrid
from offstride.ops.grid import base_coordinates

ORIGINS = ("center", "corner", "aligned")


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("stride", [4, 8, 16, 14])
@pytest.mark.parametrize("length", [131, 240, 241, 97])
def test_coordinates_of_a_crop_are_those_of_the_image(origin, stride, length):
    grid, random = CoarseGrid(stride, origin), Random(0)
    crop = grid.pixels(3)
    padded = grid.padded(length, crop)
    assert length <= padded < length + stride
    whole = base_coordinates(padded, grid.count(padded), origin, dtype=torch.float64)
    firsts = set()
    for _ in range(400):
        span = grid.draw(padded, crop, random)
        coarse = range(grid.count(padded))[span.coarse(stride)]
        assert len(coarse) == 3
        own = base_coordinates(crop, 3, origin, dtype=torch.float64) + coarse[0]
        assert torch.allclose(own, whole[span.pixels], rtol=0, atol=1e-9)
        firsts.add(coarse[0])
    assert firsts == {*range(grid.count(padded) - 2)}


@pytest.mark.parametrize("origin", ORIGINS)
def test_finer_maps_are_cropped_with_the_coarse_one(origin):
    grid = CoarseGrid(16, origin)
    crop = grid.pixels(4)
    span = grid.draw(grid.pixels(9), crop, Random(2))
    start = span.coarse(16).start
    assert start > 0
    assert span.pixels == slice(16 * start, 16 * start + crop)
    assert span.coarse(4) == slice(4 * start, 4 * start + CoarseGrid(4, origin).count(crop))


def test_an_axis_as_long_as_the_crop_stays_whole():
    grid = CoarseGrid(16)
    assert grid.padded(101, 101) == 101
    span = grid.draw(101, 101, Random(0))
    assert (span.pixels, span.coarse(16), span.coarse(4)) == (slice(0, 101), slice(None), slice(None))


def test_a_short_image_is_padded_to_the_crop():
    assert CoarseGrid(16).padded(50, 101) == 101


def test_crops_off_the_grid_are_refused():
    with pytest.raises(ValueError, match=r"crop: expected a length on the grid of stride 16 .* \(96 or 112 pixels\)"):
        CoarseGrid(16).padded(200, 100)
    with pytest.raises(ValueError, match="97 or 113 pixels"):
        CoarseGrid(16, "aligned").padded(200, 112)
    with pytest.raises(ValueError, match="stride"):
        CoarseGrid(0)
    with pytest.raises(ValueError, match="origin"):
        CoarseGrid(8, "corners")  # pyright: ignore[reportArgumentType]
