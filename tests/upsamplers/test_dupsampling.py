"""DUpsampling against the words of the paper: a code per place, a matrix, a mean, windows of r×r×n, a temperature."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from offstride.field import SubpixelField, cross_entropy
from offstride.upsamplers import DUpsampling

B, D, C, R = 2, 6, 3, 4


def window_by_window(upsampler, features, size):
    """Scores of the image, written pixel by pixel."""
    codes = F.conv2d(features, upsampler.encode.weight, upsampler.encode.bias)
    matrix = upsampler.weight.reshape(R * R * C, -1)  # window of the paper: r × r × n, flattened in this order
    mean = upsampler.bias.reshape(-1)
    found = torch.empty(B, C, *size, dtype=features.dtype)
    for b in range(B):
        for y in range(size[0]):
            for x in range(size[1]):
                window = (matrix @ codes[b, :, y // R, x // R] + mean).reshape(R, R, C)
                found[b, :, y, x] = window[y % R, x % R] / upsampler.temperature
    return found


@pytest.mark.parametrize("size", [(12, 16), (9, 15), (1, 1)])
def test_windows_are_linear_in_the_code(size):
    torch.manual_seed(0)
    upsampler = DUpsampling(D, C, R, channels=5).double()
    torch.nn.init.normal_(upsampler.bias)
    torch.nn.init.constant_(upsampler.temperature, 1.7)
    features = torch.randn(B, D, 3, 4, dtype=torch.float64)
    field = upsampler(features, features, size)
    assert field.shape == (B, C, *size)
    torch.testing.assert_close(field.dense(), window_by_window(upsampler, features, size))


def test_any_rows_are_those_of_the_whole():
    upsampler = DUpsampling(D, C, R, channels=5)
    features = torch.randn(B, D, 3, 4)
    field = upsampler(features, features, (11, 13))
    dense = field.dense()
    for start, stop in ((0, 1), (3, 5), (4, 8), (10, 11)):
        torch.testing.assert_close(field.rows(start, stop), dense[:, :, start:stop])


def test_the_loss_trains_everything():
    upsampler = DUpsampling(D, C, R)
    features = torch.randn(B, D, 3, 4, requires_grad=True)
    cross_entropy(upsampler(features, features, (10, 16)), torch.randint(0, C, (B, 10, 16))).backward()
    for tensor in (features, *upsampler.parameters()):
        assert tensor.grad.abs().max() > 0


def test_a_frozen_matrix_and_no_temperature():
    upsampler = DUpsampling(D, C, R, temperature=False, trainable=False)
    assert upsampler.temperature is None
    assert [name for name, each in upsampler.named_parameters() if each.requires_grad] == [
        "encode.weight",
        "encode.bias",
    ]
    assert {"weight", "bias"} <= upsampler.state_dict().keys()


def test_cost_is_that_of_two_1x1_convolutions():
    with torch.device("meta"):
        upsampler = DUpsampling(256, 21, 16, channels=64)
        features = torch.empty(1, 256, 33, 33)
    with FlopCounterMode(display=False) as counter:
        upsampler(features, features, (513, 513)).dense()
    assert counter.get_total_flops() == 2 * 33 * 33 * (256 * 64 + 64 * 16 * 16 * 21)


def test_low_precision_scores_are_computed_in_it_and_rendered_in_single():
    upsampler = DUpsampling(D, C, R)
    features = torch.randn(B, D, 3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        field = upsampler(features, features, (12, 16))
        assert field.rows(0, 4).dtype == torch.float32


def test_windows_must_cover_the_image():
    upsampler = DUpsampling(D, C, R)
    with pytest.raises(ValueError, match=r"size: expected at most \(12, 16\)"):
        upsampler(torch.randn(B, D, 3, 4), torch.randn(B, D, 3, 4), (13, 16))
    with pytest.raises(ValueError, match="scale: expected a positive"):
        DUpsampling(D, C, 0)


def test_the_field_is_a_subpixel_field():
    features = torch.randn(B, D, 3, 4)
    assert isinstance(DUpsampling(D, C, R)(features, features, (12, 16)), SubpixelField)
