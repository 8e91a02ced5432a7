"""Wider-ResNet-38 against the table of its paper and a literal transcription."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from offstride.backbones import Backbone

# Table 1 of Wu et al., model A2: units of blocks 2 … 7 and (kernel, channels) of their convolutions
BLOCKS = [
    (3, [(3, 128), (3, 128)]),
    (3, [(3, 256), (3, 256)]),
    (6, [(3, 512), (3, 512)]),
    (3, [(3, 512), (3, 1024)]),
    (1, [(1, 512), (3, 1024), (1, 2048)]),
    (1, [(1, 1024), (3, 2048), (1, 4096)]),
]
# stride of the first unit of blocks 4, 5, 6, and rates of blocks 5, 6, 7
STRIDES = {8: ([2, 1, 1], [2, 4, 4]), 16: ([2, 2, 1], [1, 2, 2]), 32: ([2, 2, 2], [1, 1, 1])}


def test_parameters_are_those_of_the_table():
    with torch.device("meta"):
        backbone = Backbone("wider_resnet38", output_stride=8)
    channels, expected = 64, 9 * 3 * 64
    for units, convolutions in BLOCKS:
        for _ in range(units):
            if channels != convolutions[-1][1]:
                expected += channels * convolutions[-1][1]  # projection
            for kernel, width in convolutions:
                expected += 2 * channels + kernel**2 * channels * width  # normalisation of the input, convolution
                channels = width
    expected += 2 * 4096
    assert sum(parameter.numel() for parameter in backbone.parameters()) == expected == 105_070_912


def normalised(state, name, x):
    statistics = (state[f"{name}.0.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
    return F.relu(F.batch_norm(x, *statistics))


def transcription(state, images, output_stride):
    """Features of blocks 1 … 7, from tensors and the tables above."""
    strides, rates = STRIDES[output_stride]
    strides, rates = [1, 1, *strides, 1], [1, 1, 1, *rates]
    maps = [F.conv2d(images, state["block1.weight"], padding=1)]
    for number, ((units, convolutions), stride, rate) in enumerate(zip(BLOCKS, strides, rates, strict=True), start=2):
        x = F.max_pool2d(maps[-1], 3, 2, 1) if number < 4 else maps[-1]
        for unit in range(1, units + 1):
            prefix, step = f"block{number}.unit{unit}", stride if unit == 1 else 1
            y = normalised(state, f"{prefix}.norm1", x)
            if f"{prefix}.projection.weight" in state:
                x = F.conv2d(y, state[f"{prefix}.projection.weight"], stride=step)
            for i, (kernel, _) in enumerate(convolutions, start=1):
                y = normalised(state, f"{prefix}.branch.norm{i}", y) if i > 1 else y
                spread = {"padding": rate, "dilation": rate} if kernel == 3 else {}
                y = F.conv2d(y, state[f"{prefix}.branch.conv{i}.weight"], stride=step if i == 1 else 1, **spread)
            x = x + y
        maps.append(x)
    maps[-1] = normalised(state, "block7.norm", maps[-1])
    return maps


@pytest.mark.parametrize("stride", STRIDES)
def test_features_are_those_of_the_equations(stride):
    backbone = Backbone("wider_resnet38", output_stride=stride, options={"width": 1 / 32}).eval()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data.uniform_(0.5, 1.5)
    images = torch.randn(2, 3, 67, 45)
    with torch.no_grad():
        maps, expected = backbone(images), transcription(backbone.network.state_dict(), images, stride)
    for feature, reference in zip(maps, expected, strict=True):
        torch.testing.assert_close(feature, reference, rtol=1e-4, atol=1e-4 * reference.abs().max().item())


def test_features_are_named_after_the_blocks():
    with torch.device("meta"):
        features = Backbone("wider_resnet38", output_stride=8).features
    channels = [64, 128, 256, 512, 1024, 2048, 4096]
    assert [tuple(info) for info in features] == [
        (width, stride, f"block{number}")
        for number, (width, stride) in enumerate(zip(channels, [1, 2, 4, 8, 8, 8, 8], strict=True), start=1)
    ]


def test_dropout_is_in_the_last_two_blocks():
    with torch.device("meta"):
        network = Backbone("wider_resnet38").network
    rates = {name: module.p for name, module in network.named_modules() if isinstance(module, nn.Dropout)}
    assert rates == {"block6.unit1.branch.drop": 0.3, "block7.unit1.branch.drop": 0.5}
