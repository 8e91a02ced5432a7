"""How fast a model turns images into label maps."""

import statistics
import time
from typing import Any

import torch

from offstride.field import argmax
from offstride.inference.images import ImageModel


@torch.inference_mode()
def timed(model: ImageModel, size: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Median time from an image to its label map.

    Args:
        model: In evaluation mode, on the device to time.
        size: `(H, W)` of the image.
        seconds: Stop after so long once the first, untimed run is done, or after 100 runs; at least three are timed.

    Returns:
        `frames_per_second`, the number of runs `timed`, the name of the `device` and the number of CPU `threads`.
    """
    device = model.device
    image = torch.rand(1, 3, *size, device=device)
    spent: list[float] = []
    argmax(model.field(image))
    start = time.perf_counter()
    while len(spent) < 3 or (time.perf_counter() - start < seconds and len(spent) < 100):
        begun = time.perf_counter()
        argmax(model.field(image)).sum().item()  # waits for the device
        spent.append(time.perf_counter() - begun)
    return {
        "frames_per_second": 1 / statistics.median(spent),
        "timed": len(spent),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
    }
