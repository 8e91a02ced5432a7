"""Peak memory of labelling a huge image in sliding windows: MobileNetV2 with a linear head and random weights, on
a CPU.

    python benchmarks/huge_image.py [--side 10000] [--window 512] [--classes 21] [--threads 1]

The image is an array on disk. Figures are those of fresh processes: one that labels the image, and one that labels a
single window. Labels go to one uint8 map, as in `offstride predict`. `anonymous` is memory of the process proper,
looked at every 5 ms; `resident` counts the parts of the mapped file, too, which the kernel keeps as long as nobody else
wants the memory.
"""

import argparse
import json
import tempfile
import threading
from pathlib import Path

import numpy as np
import torch

from machine import write_result
from measure import in_fresh_process, status
from offstride import create_model
from offstride.inference import label_sliding, pixel_reader

MIB = 1 << 20


def draw(path, side):
    """Write noise in blocks of 16 pixels, a strip of rows at a time."""
    pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(side, side, 3))
    generator = np.random.default_rng(0)
    for top in range(0, side, 16):
        row = generator.integers(0, 256, (1, -(-side // 16), 3), np.uint8)
        pixels[top : top + 16] = row.repeat(16, 1)[:, :side]
    pixels.flush()


class AnonymousPeak(threading.Thread):
    """Watches the anonymous memory of this process."""

    def __init__(self):
        super().__init__(daemon=True)
        self.bytes, self.done = 0, threading.Event()

    def run(self):
        while not self.done.wait(0.005):
            self.bytes = max(self.bytes, status("RssAnon:"))


def label(path, window, classes):
    """Label the image; memory in MiB before and at most."""
    torch.manual_seed(0)
    model = create_model(backbone="mobilenetv2_100", head="linear", classes=classes, output_stride=16).eval()
    pixels = np.load(path, mmap_mode="r")
    H, W, _ = pixels.shape
    labels, row, before = np.empty((H, W), np.uint8), 0, status("RssAnon:")
    watch = AnonymousPeak()
    watch.start()
    for band in label_sliding(model.field, pixel_reader(pixels), (H, W), window=(window, window)):
        labels[row : row + len(band)] = band.numpy()
        row += len(band)
    watch.done.set()
    watch.join()
    memory = {"anonymous_before": before, "anonymous_peak": watch.bytes, "resident_peak": status("VmHWM:")}
    classes = len(np.unique(labels))
    return {"classes_found": classes} | {k: round(v / MIB) for k, v in memory.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=10000)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        print(json.dumps(label(arguments.worker, arguments.window, arguments.classes)))
        return
    settings = {key: vars(arguments)[key] for key in ("window", "classes", "threads")}
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, side in (("one window", arguments.window), ("image", arguments.side)):
            path = Path(folder) / "image.npy"
            draw(path, side)
            options = [f"--{key}={value}" for key, value in settings.items()]
            results[name] = {"side": side, **in_fresh_process(__file__, *options, "--worker", path)}
            print(name, results[name], flush=True)
    write_result("huge_image", {"settings": settings, "results": results})


if __name__ == "__main__":
    main()
