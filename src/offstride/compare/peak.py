"""Peak memory of one prediction in a fresh process: `python -m offstride.compare.peak FILE HEIGHT WIDTH [STRIDE]`."""

import ctypes
import gc
import sys
from pathlib import Path

import torch

from offstride.field import argmax
from offstride.models import Segmenter
from offstride.ops import native


def main(checkpoint: str, height: str, width: str, output_stride: str | None = None) -> None:
    """Print the growth of resident memory in bytes, from an image to its label map, once all that stays is loaded."""
    model = Segmenter.load(checkpoint, output_stride=None if output_stride is None else int(output_stride))
    image = torch.rand(1, model.backbone.in_channels, int(height), int(width))
    with torch.inference_mode():
        argmax(model.field(image))
        native.forget_memory()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
        before = _status("VmRSS")
        argmax(model.field(image))
    print(_status("VmHWM") - before)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


if __name__ == "__main__":
    main(*sys.argv[1:])
