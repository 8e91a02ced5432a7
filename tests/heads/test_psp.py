from math import ceil, floor

import pytest
import torch
from head_costs import model_costs
from plain_layers import applied, bilinear, shake
from torch import nn

from offstride.features import FeatureInfo
from offstride.heads import PSPHead


def means(x, bins):
    """Means of bins that overlap where the size does not divide, one after another."""
    height, width = x.shape[2:]
    rows = [
        [
            x[
                :,
                :,
                floor(i * height / bins) : ceil((i + 1) * height / bins),
                floor(j * width / bins) : ceil((j + 1) * width / bins),
            ].mean((2, 3))
            for j in range(bins)
        ]
        for i in range(bins)
    ]
    return torch.stack([torch.stack(row, 2) for row in rows], 2)


@pytest.mark.parametrize("size", [(12, 6), (7, 11), (2, 3), (1, 1)])
def test_equals_its_definition(size):
    head = shake(PSPHead([FeatureInfo(8, 8, "last")], bins=(1, 2, 6), channels=5))
    x = torch.randn(2, 8, *size)
    maps = [
        bilinear(applied(branch, means(x, bins)), size) for bins, branch in zip((1, 2, 6), head.branches, strict=True)
    ]
    torch.testing.assert_close(head([torch.empty(0), x]), applied(head.project, torch.cat([x, *maps], 1)))


def test_published_model_has_the_published_cost():
    assert model_costs("resnet101", 8, PSPHead, 19, (512, 512)) == (65_583_699, pytest.approx(254.65, abs=0.005))


def test_one_image_cannot_train_the_single_bin():
    features, x = [FeatureInfo(4, 8, "last")], torch.randn(1, 4, 8, 8)
    with pytest.raises(ValueError, match="images: the image pooling of PSPNet cannot train"):
        PSPHead(features, channels=5)([x])
    assert PSPHead(features, bins=(2, 3), channels=5)([x]).shape == (1, 5, 8, 8)
    head = PSPHead(features, channels=5)
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert head([x]).shape == (1, 5, 8, 8)


@pytest.mark.parametrize("bins", [(), (0, 1), (1, 2, 3, 4, 6)])
def test_bins_out_of_range(bins):
    with pytest.raises(ValueError, match="bins: expected 1 to 4 positive whole numbers"):
        PSPHead([FeatureInfo(4, 8, "last")], bins=bins)
