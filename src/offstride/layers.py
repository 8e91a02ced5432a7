"""The units that heads and fusion modules are made of."""

from torch import nn


def convolution(in_channels: int, channels: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps the grid (odd kernel, no bias) → batch normalisation → ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def separable_convolution(in_channels: int, channels: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Depthwise, then 1×1 convolution, each with batch normalisation and ReLU (DeepLabv3+, Chen et al., ECCV 2018)."""
    padding = dilation * (kernel // 2)
    depthwise = nn.Conv2d(
        in_channels, in_channels, kernel, padding=padding, dilation=dilation, groups=in_channels, bias=False
    )
    return nn.Sequential(
        depthwise, nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True), *convolution(in_channels, channels)
    )
