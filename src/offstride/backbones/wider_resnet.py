"""Wider-ResNet-38, model A2 of "Wider or Deeper" (Wu et al., arXiv 1611.10080), as GSCNN and GFF use it.

Seven blocks: a 3×3 convolution, then residual units with pre-activation. Max pooling halves the grid before blocks 2
and 3, the first unit of blocks 4, 5 and 6 does so by its stride.
"""

from collections.abc import Iterator, Sequence

from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import FeatureListNet
from torch import Tensor, nn

# units of each block, and the channels of the convolutions of a unit: two 3×3, or 1×1, 3×3 and 1×1
_STRUCTURE = {
    2: (3, (128, 128)),
    3: (3, (256, 256)),
    4: (6, (512, 512)),
    5: (3, (512, 1024)),
    6: (1, (512, 1024, 2048)),
    7: (1, (1024, 2048, 4096)),
}
_DROPOUT = {6: 0.3, 7: 0.5}  # rates of the released models


class PreActivationUnit(nn.Module):
    """x + f(x) with f = [BN → ReLU → convolution] two or three times.

    Where the stride or the channels change, x is projected by a 1×1 convolution after the first BN and ReLU.

    Args:
        in_channels: Channels of x.
        channels: Outputs of the convolutions: two 3×3, or 1×1, 3×3 and 1×1.
        stride: Stride of the first convolution.
        dilation: Rate of the 3×3 convolutions.
        drop: Dropout before the last convolution.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], stride: int = 1, dilation: int = 1, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = _normalisation(in_channels)
        same = stride == 1 and in_channels == channels[-1]
        self.projection = None if same else nn.Conv2d(in_channels, channels[-1], 1, stride, bias=False)
        kernels = (3, 3) if len(channels) == 2 else (1, 3, 1)
        self.branch = nn.Sequential()
        for i, (width, kernel) in enumerate(zip(channels, kernels, strict=True), start=1):
            if i > 1:
                self.branch.add_module(f"norm{i}", _normalisation(in_channels))
            if i == len(channels) and drop:
                self.branch.add_module("drop", nn.Dropout(drop))
            rate = dilation if kernel == 3 else 1
            options = {"padding": rate * (kernel // 2), "dilation": rate, "bias": False}
            self.branch.add_module(f"conv{i}", nn.Conv2d(in_channels, width, kernel, stride, **options))
            in_channels, stride = width, 1

    def forward(self, x: Tensor) -> Tensor:
        activated = self.norm1(x)
        return self.branch(activated) + (x if self.projection is None else self.projection(activated))


class WiderResNet(nn.Module):
    """The seven blocks; batch normalisation and ReLU follow the last one.

    Args:
        output_stride: Stride of the last block. Strides beyond it become dilations: at 8, the rates of blocks 5, 6 and
            7 are 2, 4, 4.
        in_chans: Channels of the image.
        width: Factor of all channels, for smaller relatives.
    """

    def __init__(self, output_stride: int = 32, in_chans: int = 3, width: float = 1.0) -> None:
        super().__init__()
        channels = max(1, round(64 * width))
        self.block1 = nn.Conv2d(in_chans, channels, 3, padding=1, bias=False)
        self.feature_info = [{"num_chs": channels, "reduction": 1, "module": "block1"}]
        for index, halves, running, rate in _plan(output_stride):
            count, widths = _STRUCTURE[index]
            widths = [max(1, round(number * width)) for number in widths]
            block = nn.Sequential()
            if pools := index in (2, 3):
                block.add_module("pool", nn.MaxPool2d(3, 2, 1))
            for unit in range(count):
                stride = 2 if halves and not pools and unit == 0 else 1
                layer = PreActivationUnit(channels, widths, stride, rate, _DROPOUT.get(index, 0.0))
                block.add_module(f"unit{unit + 1}", layer)
                channels = widths[-1]
            self.add_module(f"block{index}", block)
            self.feature_info.append({"num_chs": channels, "reduction": running, "module": f"block{index}"})
        self.get_submodule("block7").add_module("norm", _normalisation(channels))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def wider_resnet38(
    output_stride: int = 32, out_indices: Sequence[int] = (0, 1, 2, 3, 4, 5, 6), **options: float
) -> FeatureListNet:
    """Feature network of `WiderResNet` in timm's form, with features `block1` … `block7`."""
    network = FeatureListNet(WiderResNet(output_stride, **options), tuple(out_indices))  # pyright: ignore[reportArgumentType]
    network.pretrained_cfg = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD, "input_size": (3, 224, 224)}  # pyright: ignore
    return network


def _plan(output_stride: int) -> Iterator[tuple[int, bool, int, int]]:
    """Number, whether it halves the grid, stride and rate of blocks 2 … 7."""
    running, rate = 1, 1
    for index in _STRUCTURE:
        halves = index in (2, 3) or (index < 7 and running < output_stride)
        if halves:
            running *= 2
        elif index < 7:
            rate *= 2
        yield index, halves, running, rate


def _normalisation(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
