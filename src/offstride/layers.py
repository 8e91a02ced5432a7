"""The units that heads and fusion modules are made of."""

from torch import nn


def convolution(in_channels: int, channels: int, kernel: int = 1, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps the grid (odd kernel, no bias) → batch normalisation → ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, padding=padding, dilation=dilation, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def separable_convolution(in_channels: int, channels: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Depthwise, then 1×1 convolution, each with batch normalisation and ReLU (DeepLabv3+, Chen et al., ECCV 2018)."""
    depthwise = convolution(in_channels, in_channels, kernel, dilation, groups=in_channels)
    return nn.Sequential(*depthwise, *convolution(in_channels, channels))
