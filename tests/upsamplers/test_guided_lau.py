"""LaU whose offsets also see a low-level feature."""

import pytest
import torch

from offstride.features import FeatureInfo, Guides
from offstride.upsamplers import LaU

LEVELS = [FeatureInfo(5, 4, "low"), FeatureInfo(6, 16, "high")]


@pytest.mark.parametrize("block", [False, True])
def test_the_branches_read_the_unshuffled_feature(block):
    torch.manual_seed(0)
    upsampler = LaU(6, 2, hidden=4, levels=LEVELS, guide_stride=4, guide_channels=3, block=block).double().eval()
    features, low = torch.randn(1, 6, 2, 3, dtype=torch.float64), torch.randn(1, 5, 8, 12, dtype=torch.float64)
    reduced = torch.einsum("dc,bchw->bdhw", upsampler.guide.reduce.weight[..., 0, 0], low)
    reduced += upsampler.guide.reduce.bias[:, None, None]
    stacked = torch.empty(1, 48, 2, 3, dtype=torch.float64)
    for c in range(3):
        for i in range(4):
            for j in range(4):
                stacked[:, 16 * c + 4 * i + j] = reduced[:, c, i::4, j::4]
    entering = torch.cat((upsampler.block(features) if block else features, stacked), 1)
    expected = torch.stack((upsampler.vertical(entering), upsampler.horizontal(entering)), 2).flatten(1, 2)
    torch.testing.assert_close(upsampler.offsets(features, Guides(None, [low, features])), expected)


def test_sizes_need_not_divide_and_gradients_reach_the_guide():
    upsampler = LaU(6, 4, hidden=4, levels=LEVELS, guide_stride=4)
    features, low = torch.randn(1, 6, 3, 3), torch.randn(1, 5, 10, 11, requires_grad=True)
    field = upsampler(torch.randn(1, 2, 3, 3), features, (40, 42), Guides(None, [low, features]))
    field.dense().square().sum().backward()
    assert low.grad.abs().sum() > 0


def test_what_it_needs_is_asked_for():
    with pytest.raises(ValueError, match="guide_stride: expected the stride of a feature"):
        LaU(6, guide_stride=4)
    with pytest.raises(ValueError, match="guide_stride: expected a divisor"):
        LaU(6, levels=[FeatureInfo(5, 6, "low"), LEVELS[1]], guide_stride=6)
    upsampler = LaU(6, levels=LEVELS, guide_stride=4)
    with pytest.raises(ValueError, match="guides: expected the features"):
        upsampler(torch.randn(1, 2, 3, 3), torch.randn(1, 6, 3, 3), (40, 42))
