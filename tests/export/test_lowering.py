import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import deform_conv2d

from offstride.export.lowering import adaptive_mean, deformable_convolution, lowered


@pytest.mark.parametrize(
    ("groups", "offset_groups", "stride", "padding", "dilation", "masked"),
    [(1, 1, 1, 1, 1, False), (2, 1, (2, 1), (0, 2), (1, 2), True), (1, 3, 1, 2, 2, True)],
)
def test_deformable_convolution(groups, offset_groups, stride, padding, dilation, masked):
    values, weight, bias = torch.randn(2, 6, 9, 11), torch.randn(4, 6 // groups, 3, 2), torch.randn(4)
    grid = F.conv2d(values, weight[:, :1].expand(-1, 6, -1, -1), None, stride, padding, dilation).shape[2:]
    offset = 2 * torch.randn(2, 2 * offset_groups * 6, *grid)
    mask = torch.rand(2, offset_groups * 6, *grid) if masked else None
    expected = deform_conv2d(values, offset, weight, bias, stride, padding, dilation, mask)
    pairs = [pair if isinstance(pair, tuple) else (pair, pair) for pair in (stride, padding, dilation)]
    numbers = [number for pair in pairs for number in pair]
    given = torch.zeros(2, 0) if mask is None else mask
    actual = deformable_convolution(values, weight, offset, given, bias, *numbers, groups, offset_groups, masked)
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 5), (9, 11)])
def test_adaptive_means(size):
    values = torch.randn(2, 3, 9, 11)
    torch.testing.assert_close(adaptive_mean(values, size), F.adaptive_avg_pool2d(values, size))


class Pooled(nn.Module):
    def forward(self, x):
        same = -(-x.shape[2] // 2)
        return F.adaptive_avg_pool2d(x, 3) + x.new_ones(same).sum()


def test_programs_lose_what_formats_lack():
    sides = {2: torch.export.Dim("h", min=4, max=99), 3: torch.export.Dim("w", min=4, max=99)}
    program = lowered(torch.export.export(Pooled(), (torch.randn(1, 2, 9, 11),), dynamic_shapes=(sides,)))
    assert not [node for node in program.graph.nodes if "adaptive" in str(node.target)]
    x = torch.randn(1, 2, 20, 13)
    torch.testing.assert_close(program.module()(x), Pooled()(x))
