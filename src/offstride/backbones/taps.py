"""Intermediate maps of a feature network, by the names that papers or timm give them."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

# Names in the DeepLab release (block, unit, convolution): outputs after batch normalisation. The last convolution of a
# residual unit is read before the shortcut is added; ReLU follows the others.
_RESNET = {"b1u2c3": "layer1.1.bn3", "b3u6c3": "layer3.5.bn3"}
_DEEP_STEM = {"conv1_3": "act1"}
_XCEPTION = {
    "xception65": {"efb2u1c2": "blocks.1.stack.act3", "mfb1u16c3": "blocks.18.stack.conv3"},
    "xception71": {"efb2u1c2": "blocks.1.stack.act3", "mfb1u16c3": "blocks.20.stack.conv3"},
}


class Taps:
    """Collects what some modules of a network return.

    Args:
        network: Feature network.
        name: Its name.
        taps: Names from papers, or paths of modules as in timm's full model (`blocks.18.stack.conv3`) or as in the
            feature network (`blocks_18.stack.conv3`).

    Raises:
        ValueError: If a name is unknown or occurs twice.
    """

    def __init__(self, network: nn.Module, name: str, taps: Sequence[str]) -> None:
        if isinstance(taps, str) or len(set(taps)) != len(taps):
            raise ValueError(f"taps: expected different names, got {taps!r}")
        self.names = tuple(taps)
        self._maps: dict[str, Any] = {}
        aliases = _aliases(network, name)
        for tap in self.names:
            _module(network, name, tap, aliases).register_forward_hook(_Collector(self._maps, tap))

    def take(self) -> list[Any]:
        """Outputs of the modules in the last run, in the order of the names, `None` where a module did not run; they
        are released.
        """
        maps = [self._maps.get(name) for name in self.names]
        self._maps.clear()
        return maps


class _Collector:
    """Hook. An object, not a closure: copies of a network then collect into the copy of the dictionary."""

    def __init__(self, maps: dict[str, Any], name: str) -> None:
        self.maps = maps
        self.name = name

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        # Residual units add their shortcut in place, which would change the map after it was collected.
        self.maps[self.name] = output.clone() if isinstance(output, Tensor) else output


def _aliases(network: nn.Module, name: str) -> dict[str, str]:
    """Papers' names for modules of this network."""
    aliases = dict(_XCEPTION.get(name.partition(".")[0], {}))
    if isinstance(next(iter(getattr(network, "layer1", ())), None), BasicBlock | Bottleneck):
        names = _RESNET | (_DEEP_STEM if isinstance(network.conv1, nn.Sequential) else {})
        aliases |= {alias: path for alias, path in names.items() if _find(network, path) is not None}
    return aliases


def _module(network: nn.Module, name: str, tap: str, aliases: dict[str, str]) -> nn.Module:
    module = _find(network, aliases.get(tap, tap))
    if module is None:
        known = [*aliases, *(path for path, _ in network.named_modules() if path)]
        close = ", ".join(dict.fromkeys([*aliases, *get_close_matches(tap, known)]))
        raise ValueError(f"taps: expected modules of {name!r}, got {tap!r}" + (f"; close: {close}" if close else ""))
    return module


def _find(network: nn.Module, path: str) -> nn.Module | None:
    """Module at a path of the full model: timm's feature networks flatten the first level or wrap everything."""
    modules = dict(network.named_modules())
    candidates = (path, path.replace(".", "_", 1), f"model.{path}", f"body.{path}")
    return next((modules[candidate] for candidate in candidates if path and candidate in modules), None)
