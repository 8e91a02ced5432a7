"""Bilinear and nearest bands against `interpolate` and exact weights."""

from fractions import Fraction
from math import ceil, floor

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride.ops.grid import source_rows
from offstride.ops.interpolate import bilinear_rows, nearest_rows

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
FINE = st.tuples(st.integers(1, 40), st.integers(1, 40))


def draw_band(data, height):
    start = data.draw(st.integers(0, height - 1))
    return start, data.draw(st.integers(start + 1, height))


def exact_matrix(fine, coarse, origin):
    """Weights of linear interpolation with the edge repeated, from fractions."""
    shift = Fraction(1, 2) if origin == "center" else 0
    step = Fraction(coarse - 1, max(fine - 1, 1)) if origin == "aligned" else Fraction(coarse, fine)
    matrix = torch.zeros(fine, coarse, dtype=torch.float64)
    for i in range(fine):
        c = min(max((i + shift) * step - shift, 0), coarse - 1)
        matrix[i, floor(c)] += float(floor(c) + 1 - c)
        matrix[i, ceil(c)] += float(c - floor(c))
    return matrix


@settings(max_examples=60, deadline=None)
@given(SIZES, FINE, st.sampled_from(("center", "corner", "aligned")), st.data())
def test_a_band_reads_only_its_source_rows(coarse, fine, origin, data):
    rows = draw_band(data, fine[0])
    values = torch.randn(2, 3, *coarse, dtype=torch.float64)
    vertical, horizontal = (exact_matrix(*axis, origin) for axis in zip(fine, coarse, strict=True))
    first, last = source_rows(rows, fine[0], coarse[0], origin)
    used = vertical[slice(*rows)].any(0).nonzero()
    assert first <= used.min()
    assert used.max() < last
    band = values[:, :, first:last].clone().requires_grad_()
    found = bilinear_rows(band, fine, rows, origin=origin, coarse=coarse[0], first=first)
    expected = torch.einsum("yi,bcij,xj->bcyx", vertical[slice(*rows)], values, horizontal)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    upstream = torch.randn_like(found)
    (gradient,) = torch.autograd.grad(found, band, upstream)
    transposed = torch.einsum("yi,bcyx,xj->bcij", vertical[slice(*rows)], upstream, horizontal)
    torch.testing.assert_close(gradient, transposed[:, :, first:last], rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(SIZES, FINE, st.booleans())
def test_all_rows_are_interpolate(coarse, fine, aligned):
    values = torch.randn(2, 3, *coarse)
    origin = "aligned" if aligned else "center"
    found = bilinear_rows(values, fine, (0, fine[0]), origin=origin, coarse=coarse[0])
    assert torch.equal(found, F.interpolate(values, fine, mode="bilinear", align_corners=aligned))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rendered_in_single(dtype):
    values = torch.randn(1, 2, 5, 7).to(dtype)
    for origin in ("center", "corner", "aligned"):
        found = bilinear_rows(values, (16, 33), (3, 9), origin=origin, coarse=5)
        expected = bilinear_rows(values.double(), (16, 33), (3, 9), origin=origin, coarse=5)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(SIZES, FINE, st.sampled_from((("center", "nearest-exact"), ("corner", "nearest"))), st.data())
def test_nearest_is_torchs(coarse, fine, convention, data):
    origin, mode = convention
    start, stop = draw_band(data, fine[0])
    scores = torch.randn(2, 3, *coarse)
    clear = [between_pixels(*axis, origin) for axis in zip(fine, coarse, strict=True)]
    clear = clear[0][start:stop, None] & clear[1]
    expected = F.interpolate(scores, fine, mode=mode)[:, :, start:stop]
    found = nearest_rows(scores, fine, (start, stop), origin=origin)
    assert torch.equal(found[..., clear], expected[..., clear])
    labels = torch.randint(0, 256, (2, *coarse), dtype=torch.uint8)
    expected = F.interpolate(labels[None].float(), fine, mode=mode)[0, :, start:stop]
    found = nearest_rows(labels, fine, (start, stop), origin=origin).float()
    assert torch.equal(found[..., clear], expected[..., clear])


def between_pixels(fine, coarse, origin):
    """Where torch's rounded factor cannot fall to the other side of a pixel's edge."""
    place = [(2 * i + 1) * coarse % (2 * fine) if origin == "center" else i * coarse % fine for i in range(fine)]
    return torch.tensor([rest != 0 for rest in place])
