"""Multi-grid: rates of the units of a residual block (DeepLabv3, §3.2.1)."""

from collections.abc import Sequence
from typing import Any

from timm.models.resnet import BasicBlock, Bottleneck

from offstride.backbones.dilation import dilate

Unit = BasicBlock | Bottleneck


def residual_units(network: Any, name: str, argument: str) -> list[Unit]:
    """Units of block4 of a timm ResNet's feature network.

    Raises:
        ValueError: Naming the argument that needs them, if the network has none.
    """
    units: list[Any] = list(getattr(network, "layer4", ()))
    if not units or not all(isinstance(unit, Unit) for unit in units):
        raise ValueError(f"{argument}: expected a ResNet with its block4 (`layer4`), got {name!r}, which has none")
    return units


def check_multi_grid(multi_grid: Sequence[int], units: int) -> None:
    """Raise a `ValueError` unless there is a positive whole number for each unit."""
    whole = all(isinstance(rate, int) and not isinstance(rate, bool) and rate > 0 for rate in multi_grid)
    if len(multi_grid) != units or not whole:
        raise ValueError(f"multi_grid: expected {units} positive whole numbers, one for each unit, got {multi_grid!r}")


def set_rates(units: Sequence[Unit], rate: int, multi_grid: Sequence[int]) -> None:
    """Give the 3×3 convolutions of unit i the rate `rate`·`multi_grid[i]`."""
    for unit, factor in zip(units, multi_grid, strict=True):
        dilate(unit.children(), rate * factor)
