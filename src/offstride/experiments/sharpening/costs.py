"""Costs of methods, measured side by side: every round times each of them once, so that all share the same load."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from offstride.experiments.sharpening.frozen import Frozen
from offstride.experiments.sharpening.methods import Method
from offstride.field import BilinearField, LogitField, argmax


@torch.no_grad()
def method_costs(
    methods: Sequence[Method],
    frozen: Frozen,
    size: tuple[int, int],
    *,
    rounds: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Costs of one image, from its normalised pixels to its label map, the network included.

    Args:
        methods: The methods.
        frozen: The model.
        size: `(H, W)` of the image.
        rounds: Timed predictions of each method; 0 skips timing.
        progress: Called with the number of rounds done and their total.

    Returns:
        For each method `parameters`, `upsampler_parameters`, `macs`, `size` and, by the device, its `name`, `latency`
        (median, seconds), `quartiles` and `images_per_second`.
    """
    image = torch.rand(1, 3, *size, device=frozen.device)
    costs = [_counted(method, frozen, image) for method in methods]
    spent: list[list[float]] = [[] for _ in methods]
    for turn in range(rounds):
        order = range(len(methods)) if turn % 2 else reversed(range(len(methods)))
        for index in order:
            spent[index].append(_timed(methods[index], frozen, image))
        progress(turn + 1, rounds)
    for cost, times in zip(costs, spent, strict=True):
        if times:
            cost["devices"] = {frozen.device.type: _timing(frozen.device, times)}
    return costs


def _counted(method: Method, frozen: Frozen, image: Tensor) -> dict[str, Any]:
    own = _parameters(method.upsampler)
    with FlopCounterMode(display=False) as counter:
        _render_products(method.field(frozen, image))
    return {
        "parameters": _parameters((method.network or frozen).model) + own,
        "upsampler_parameters": own,
        "macs": counter.get_total_flops() // 2,
        "size": list(image.shape[2:]),
    }


def _parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _render_products(field: LogitField) -> None:
    """Render what is a product of matrices, as `offstride.models.complexity` counts it."""
    if isinstance(field, BilinearField) and isinstance(field.source, LogitField):
        field = field.source
    if field.multiplies:
        field.dense()


def _timing(device: torch.device, times: list[float]) -> dict[str, Any]:
    median = statistics.median(times)
    ends = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else [median] * 3
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return {"name": name, "latency": median, "quartiles": [ends[0], ends[2]], "images_per_second": 1 / median}


def _timed(method: Method, frozen: Frozen, image: Tensor) -> float:
    """Seconds of a prediction, after one that is not timed and leaves caches and heap as this method does."""
    argmax(method.field(frozen, image)).flatten()[0].item()  # waits for the device
    start = time.perf_counter()
    argmax(method.field(frozen, image)).flatten()[0].item()
    return time.perf_counter() - start
