"""Cascaded blocks: copies of block4 one after another (DeepLabv3, §3.2)."""

from collections.abc import Sequence
from copy import deepcopy

from torch import nn

from offstride.backbones.multi_grid import Unit, set_rates
from offstride.features import FeatureInfo


def build_cascade(
    units: Sequence[Unit], block4: FeatureInfo, last: int, output_stride: int, multi_grid: Sequence[int]
) -> tuple[nn.ModuleList, list[FeatureInfo]]:
    """Blocks 5 … `last`, each like block4, with fresh weights.

    A block halves the grid while the running stride is less than `output_stride` and doubles the rate otherwise (§3.1).

    Args:
        units: Units of block4.
        block4: Feature of block4.
        last: Number of the last block.
        output_stride: Stride of the last block.
        multi_grid: Factors of the rates, one for each unit.

    Returns:
        The blocks and their features, named `layer5`, `layer6`, …

    Raises:
        ValueError: If block4 has a single unit, which cannot be copied because it changes the channels.
    """
    pattern = units[-1]
    if pattern.downsample is not None:
        raise ValueError("cascade: expected a backbone with several units in block4, got a single one")
    blocks, features = nn.ModuleList(), []
    running, rate = block4.stride, pattern.dilation
    for number in range(5, last + 1):
        stride = 2 if running < output_stride else 1
        running, rate = running * stride, rate * 2 // stride
        blocks.append(_block(pattern, stride, rate, multi_grid))
        features.append(FeatureInfo(block4.channels, running, f"layer{number}"))
    return blocks, features


def _block(pattern: Unit, stride: int, rate: int, multi_grid: Sequence[int]) -> nn.Sequential:
    units = [deepcopy(pattern) for _ in multi_grid]
    for unit in units:
        _reset(unit)
        unit.dilation = rate
    set_rates(units, rate, multi_grid)
    if stride > 1:
        _halve(units[0])
    return nn.Sequential(*units)


def _reset(unit: Unit) -> None:
    """Fresh weights, distributed like those of timm's ResNets: a unit starts as the identity."""
    for module in unit.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif callable(reset := getattr(module, "reset_parameters", None)):
            reset()
    unit.zero_init_last()


def _halve(unit: Unit) -> None:
    """Let the unit halve the grid, in its first 3×3 convolution as timm does. The channels stay, so the shortcut needs
    no projection: it keeps every second position.
    """
    convolutions = [module for module in unit.children() if isinstance(module, nn.Conv2d)]
    next(module for module in convolutions if module.kernel_size == (3, 3)).stride = (2, 2)
    unit.stride = 2
    unit.downsample = nn.MaxPool2d(1, stride=2)
