"""Pixel shuffle against its layers as printed (LaU, Table 3a)."""

import pytest
import torch
import torch.nn.functional as F

from offstride.field import BilinearField
from offstride.upsamplers import PixelShuffle


@pytest.mark.parametrize(
    ("scales", "printed"),
    [((2,), [236, 59]), ((3,), [531, 59]), ((2, 2), [236, 236, 59])],  # 236C3 + PS2 + 59C3 and so on
)
def test_layers_are_the_printed_ones(scales, printed):
    with torch.device("meta"):
        upsampler = PixelShuffle(512, 59, scales)
    convolutions = [layer for layer in upsampler.layers if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == printed
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert convolutions[0].in_channels == 512
    assert all(layer.in_channels == 59 for layer in convolutions[1:])


def test_it_is_convolution_depth_to_space_and_convolution():
    torch.manual_seed(0)
    upsampler = PixelShuffle(4, 3, (2,)).double()
    features = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    first, _, last = upsampler.layers
    wide = F.conv2d(features, first.weight, first.bias, padding=1)
    fine = torch.empty(2, 3, 10, 12, dtype=torch.float64)
    for c in range(3):
        for i in range(2):
            for j in range(2):
                fine[:, c, i::2, j::2] = wide[:, 4 * c + 2 * i + j]
    expected = F.conv2d(fine, last.weight, last.bias, padding=1)
    field = upsampler(features, features, (20, 25))
    assert isinstance(field, BilinearField)
    assert field.shape == (2, 3, 20, 25)
    torch.testing.assert_close(field.source, expected)


def test_it_classifies_on_its_own_and_checks_its_factors():
    assert not PixelShuffle.reads_scores
    for scales in ((), (0,)):
        with pytest.raises(ValueError, match="scales: expected positive"):
            PixelShuffle(4, 3, scales)
