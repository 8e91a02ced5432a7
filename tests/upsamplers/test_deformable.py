"""Deformable 3×3 convolution on the scores against a loop over pixels and taps."""

import pytest
import torch
import torch.nn.functional as F

from offstride.upsamplers import Deformable

B, C, H, W = 1, 2, 4, 5


def read(plane, y, x):
    """Bilinear read of a plane that is zero outside."""
    top, left = int(y // 1), int(x // 1)
    total = torch.zeros((), dtype=plane.dtype)
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * plane[row, column]
    return total


def pixel_by_pixel(upsampler, scores):
    offsets = F.conv2d(scores, upsampler.offsets.weight, upsampler.offsets.bias, padding=1)
    moved = upsampler.kernel.bias[None, :, None, None].expand(B, C, H, W).clone()
    for y in range(H):
        for x in range(W):
            for tap in range(9):
                dy, dx = offsets[0, 2 * tap, y, x].item(), offsets[0, 2 * tap + 1, y, x].item()
                place = y + tap // 3 - 1 + dy, x + tap % 3 - 1 + dx
                values = torch.stack([read(scores[0, c], *place) for c in range(C)])
                moved[0, :, y, x] += upsampler.kernel.weight[:, :, tap // 3, tap % 3] @ values
    return moved


@torch.no_grad()
def test_it_is_a_convolution_at_displaced_places():
    torch.manual_seed(0)
    upsampler = Deformable(C)
    for parameter in upsampler.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    scores = torch.randn(B, C, H, W)
    field = upsampler(scores, scores, (8, 10))
    torch.testing.assert_close(field.source, pixel_by_pixel(upsampler, scores), rtol=1e-4, atol=1e-5)


def test_training_starts_from_bilinear_upsampling():
    scores = torch.randn(2, 3, 4, 5)
    rendered = Deformable(3)(scores, scores, (16, 17)).dense()
    torch.testing.assert_close(rendered, F.interpolate(scores, (16, 17), mode="bilinear"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_reach_all_parameters(dtype):
    upsampler = Deformable(3)
    scores = torch.randn(2, 3, 4, 5)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        field = upsampler(scores.to(dtype), scores, (16, 17))
    field.dense().square().sum().backward()
    for parameter in upsampler.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0
