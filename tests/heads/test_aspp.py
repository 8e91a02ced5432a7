import pytest
import torch
import torch.nn.functional as F
from torch import nn

from offstride.backbones import Backbone
from offstride.heads import ASPPHead


def parameters(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def applied(block, x, dilation=1):
    """Convolution, normalisation by stored statistics, ReLU, written out."""
    weight, norm = block[0].weight, block[1]
    x = F.conv2d(x, weight, padding=dilation * (weight.shape[2] // 2), dilation=dilation)
    mean, variance, gain, bias = (
        tensor.view(1, -1, 1, 1) for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return ((x - mean) / (variance + 1e-5).sqrt() * gain + bias).clamp(min=0)


def test_equals_its_definition():
    torch.manual_seed(0)
    head = ASPPHead(5, rates=(2, 3), channels=4).eval()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 2)
    x = torch.randn(2, 5, 6, 9)
    pooled = applied(head.pooling, x.flatten(2).mean(2)[..., None, None])
    maps = [
        applied(head.branches[0], x),
        applied(head.branches[1], x, 2),
        applied(head.branches[2], x, 3),
        F.interpolate(pooled, size=(6, 9), mode="bilinear", align_corners=False),
    ]
    torch.testing.assert_close(head([torch.empty(0), x]), applied(head.project, torch.cat(maps, 1)))


def test_published_model_has_the_published_size():
    with torch.device("meta"):
        backbone = Backbone("resnet101", output_stride=16)
        head = ASPPHead(backbone.features[-1].channels)
        classifier = nn.Conv2d(head.out_channels, 21, 1)
    assert parameters(backbone, head, classifier) == 58_040_661


def test_without_rates_the_point_and_the_image_remain():
    head = ASPPHead(8, rates=(), channels=4)
    assert parameters(head) == 2 * (8 * 4 + 8) + 8 * 4 + 8
    assert head([torch.randn(2, 8, 5, 3)]).shape == (2, 4, 5, 3)


def test_rates_beyond_the_map_are_harmless():
    assert ASPPHead(3, rates=(30,), channels=4).eval()([torch.randn(1, 3, 1, 2)]).shape == (1, 4, 1, 2)


def test_one_image_cannot_train_the_image_pooling():
    head = ASPPHead(3, channels=4)
    with pytest.raises(ValueError, match="images: the image pooling of ASPP cannot train"):
        head([torch.randn(1, 3, 8, 8)])
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert head([torch.randn(1, 3, 8, 8)]).shape == (1, 4, 8, 8)
