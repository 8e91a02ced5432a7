"""The bilinear upsampler is `interpolate`, and its corner origin the released one."""

import pytest
import torch
import torch.nn.functional as F

from offstride.upsamplers import Bilinear


@pytest.mark.parametrize("size", [(16, 20), (17, 3), (4, 5), (2, 2)])
def test_center_origin_is_interpolate(size):
    scores = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    field = Bilinear()(scores, torch.empty(2, 8, 4, 5), size)
    assert field.shape == (2, 3, *size)
    expected = F.interpolate(scores, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(field.dense(), expected, rtol=0, atol=1e-13)


def test_corner_origin_reads_index_over_factor():
    scores = torch.arange(5.0, dtype=torch.float64).expand(1, 1, 5, 5)
    field = Bilinear(origin="corner")(scores, scores, (20, 20))
    expected = (torch.arange(20, dtype=torch.float64) / 4).clamp(max=4)
    torch.testing.assert_close(field.dense()[0, 0], expected.expand(20, 20))


def test_it_says_and_checks_its_origin():
    assert not list(Bilinear().parameters())
    assert repr(Bilinear(origin="corner")) == "Bilinear(origin='corner')"
    with pytest.raises(ValueError, match=r"origin: expected one of .*got 'middle'"):
        Bilinear(origin="middle")
