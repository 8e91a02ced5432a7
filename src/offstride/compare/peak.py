"""Peak memory of one prediction in a fresh process: `python -m offstride.compare.peak MODEL HEIGHT WIDTH [JSON]`."""

import ctypes
import gc
import json
import sys
from pathlib import Path

import torch

from offstride.compare.opened import open_compared
from offstride.field import argmax
from offstride.ops import native


def main(model: str, height: str, width: str, how: str = "{}") -> None:
    """Print the growth of resident memory in bytes, from an image to its label map, once all that stays is loaded."""
    options = {"output_stride": None, "missing": {}, **json.loads(how)}
    opened = open_compared(model, **options)
    image = torch.rand(1, 3, int(height), int(width))
    with torch.inference_mode():
        argmax(opened.field(image))
        native.forget_memory()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
        before = _status("VmRSS")
        argmax(opened.field(image))
    print(_status("VmHWM") - before)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


if __name__ == "__main__":
    main(*sys.argv[1:])
