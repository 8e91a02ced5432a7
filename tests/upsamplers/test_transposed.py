"""Transposed convolution against torch's, which renders everything."""

import pytest
import torch
import torch.nn.functional as F

from offstride.field import BilinearField, argmax, cross_entropy
from offstride.upsamplers import TransposedConvolution


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8])
def test_fields_and_gradients_are_those_of_the_operator(scale, separate):
    torch.manual_seed(0)
    upsampler = TransposedConvolution(3, scale, separate).double()
    with torch.no_grad():
        upsampler.weight.normal_()
    scores = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    padding = (upsampler.weight.shape[2] - scale) // 2
    expected = F.conv_transpose2d(scores, upsampler.weight, stride=scale, padding=padding, groups=3 if separate else 1)
    field = upsampler(scores, scores, (4 * scale, 5 * scale))
    torch.testing.assert_close(field.dense(), expected)
    torch.testing.assert_close(field.rows(1, 3), expected[:, :, 1:3])
    labels = torch.randint(0, 3, (2, 4 * scale, 5 * scale))
    leaves = (scores, upsampler.weight)
    gradients = torch.autograd.grad(cross_entropy(field, labels), leaves)
    wanted = torch.autograd.grad(F.cross_entropy(expected, labels), leaves)
    torch.testing.assert_close(gradients, wanted)


@pytest.mark.parametrize("scale", [2, 3, 8])
def test_it_starts_as_bilinear_interpolation_away_from_the_border(scale):
    scores = torch.randn(1, 4, 5, 6, dtype=torch.float64)
    field = TransposedConvolution(4, scale).double()(scores, scores, (5 * scale, 6 * scale))
    expected = F.interpolate(scores, scale_factor=scale, mode="bilinear", align_corners=False)
    inner = slice(scale, -scale)
    torch.testing.assert_close(field.dense()[..., inner, inner], expected[..., inner, inner])


def test_any_size_and_number_of_classes():
    upsampler = TransposedConvolution(1, 8)
    scores = torch.randn(1, 1, 3, 4)
    assert upsampler(scores, scores, (23, 31)).dense().shape == (1, 1, 23, 31)  # windows reach beyond the image
    rest = upsampler(scores, scores, (41, 60))
    assert isinstance(rest, BilinearField)
    assert argmax(rest).shape == (1, 41, 60)
    with pytest.raises(ValueError, match="scale: expected"):
        TransposedConvolution(3, 0)
