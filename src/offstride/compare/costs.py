"""Costs of methods, measured side by side: every round times each of them once, so that all share the same load."""

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from offstride.compare.opened import open_compared
from offstride.field import argmax
from offstride.inference.images import ImageModel
from offstride.models import BaseSegmenter
from offstride.models.complexity import complexity
from offstride.opening import network_of


def measure_costs(
    checkpoints: Mapping[str, str | Path],
    size: tuple[int, int],
    *,
    devices: Sequence[torch.device],
    rounds: int = 20,
    output_stride: int | None = None,
    missing: Mapping[str, Any] = MappingProxyType({}),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, Any]]:
    """Costs of models by name: of one image, from its normalised pixels to its label map.

    Args:
        checkpoints: References of models by name, see `open_model`.
        size: `(H, W)` of the image.
        devices: Devices to time on.
        rounds: Timed predictions of each model on each device.
        output_stride: Stride to run models at, if not that of their training.
        missing: Arguments of `open_model` for models of other libraries.
        progress: Called with the number of steps done and their total.

    Returns:
        For each name `parameters`, `upsampler_parameters` (of the upsampler alone), `macs`, `activation_bytes` (kept
        for the backward pass of one image, float32), `size`, and for each of the `devices` its `name`, `latency`
        (median, seconds), `quartiles`, `images_per_second` and `peak_bytes` (growth during one prediction; on a CPU of
        resident memory in a separate process, on Linux only).

    Raises:
        ValueError: If a file is no model.
    """
    models: dict[str, Any] = {name: open_compared(path, output_stride, missing) for name, path in checkpoints.items()}
    costs: dict[str, dict[str, Any]] = {name: _counted(network_of(model), size) for name, model in models.items()}
    total, done = len(devices) * (rounds + 1), 0
    for device in devices:
        times: dict[str, list[float]] = {name: [] for name in models}
        models = {name: model.to(device) if isinstance(model, nn.Module) else model for name, model in models.items()}
        images = {name: torch.rand(1, 3, *size) for name in models}
        for turn in range(rounds):
            for name in models if turn % 2 else reversed(models):
                times[name].append(_timed(models[name], images[name].to(models[name].device)))
            progress(done := done + 1, total)
        for name, spent in times.items():
            image = images[name].to(models[name].device)
            peak = _peak(models[name], image, checkpoints[name], output_stride, missing)
            costs[name]["devices"][device.type] = {"name": _named(device), **_summary(spent), "peak_bytes": peak}
        progress(done := done + 1, total)
    return costs


def _counted(model: BaseSegmenter, size: tuple[int, int]) -> dict[str, Any]:
    counts = complexity(model, size)
    return {
        "parameters": counts.parameters,
        "upsampler_parameters": sum(parameter.numel() for parameter in model.upsampler.parameters()),
        "macs": counts.macs,
        "activation_bytes": counts.activation_bytes,
        "size": list(size),
        "devices": {},
    }


@torch.inference_mode()
def _timed(model: ImageModel, image: Tensor) -> float:
    """Seconds of a prediction, after one that is not timed and leaves caches and heap as this model does."""
    gc.collect()
    argmax(model.field(image)).flatten()[0].item()  # waits for the device
    start = time.perf_counter()
    argmax(model.field(image)).flatten()[0].item()
    return time.perf_counter() - start


def _summary(spent: list[float]) -> dict[str, Any]:
    median = statistics.median(spent)
    quartiles = statistics.quantiles(spent, n=4, method="inclusive") if len(spent) > 1 else [median] * 3
    return {"latency": median, "quartiles": [quartiles[0], quartiles[2]], "images_per_second": 1 / median}


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"


@torch.inference_mode()
def _peak(
    model: ImageModel,
    image: Tensor,
    checkpoint: str | Path,
    output_stride: int | None,
    missing: Mapping[str, Any] = MappingProxyType({}),
) -> int | None:
    if image.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(image.device)
        before = torch.cuda.memory_allocated(image.device)
        argmax(model.field(image))
        return torch.cuda.max_memory_allocated(image.device) - before
    if image.device.type != "cpu" or not sys.platform.startswith("linux"):
        return None
    how = json.dumps({"output_stride": output_stride, "missing": _plain(missing)})
    command = [sys.executable, "-m", "offstride.compare.peak", str(checkpoint), *map(str, image.shape[2:]), how]
    allocator = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # freed memory goes back at once
    environment = os.environ | allocator | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def _plain(missing: Mapping[str, Any]) -> dict[str, Any]:
    """The same as JSON holds it; the names of classes change no costs."""
    return {name: missing.get(name) for name in ("mean", "std")}
