"""Peak memory and time of the banded cross-entropy against the dense one, forward and backward, on a CPU.

Dense is what everyone does: render `(B, C, H, W)` scores, then `torch.nn.functional.cross_entropy`. Banded is
`offstride.field.cross_entropy` of the same field. Each peak is measured in a fresh process, as the growth of its
resident memory over what inputs and libraries take; times are medians of interleaved runs in one more process.

    python benchmarks/memory_banded.py [--threads 1] [--rounds 9]
"""

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from machine import write_result
from offstride.field import BilinearField, LocatedField, cross_entropy

CLASSES, COARSE, IMAGE = 150, (64, 64), (512, 512)
FIELDS, PATHS = ("bilinear", "lau"), ("dense", "banded")
TARGET = 0.5
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # freed memory goes back at once


def build(kind):
    """Leaves that need gradients, a field over them, and labels of which one in twenty is ignored."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, CLASSES, *COARSE, generator=generator).mul_(3).requires_grad_()
    labels = torch.randint(0, CLASSES, (1, *IMAGE), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.05] = 255
    if kind == "bilinear":
        return (scores,), BilinearField(scores, IMAGE), labels
    offsets = torch.randn(1, 2, *IMAGE, generator=generator).mul_(0.5).requires_grad_()
    return (scores, offsets), LocatedField(scores, offsets), labels


def dense_loss(field, labels):
    if isinstance(field, BilinearField):
        rendered = F.interpolate(field.source, field.size, mode="bilinear", align_corners=False)
    else:
        rendered = field.dense()
    return F.cross_entropy(rendered, labels, ignore_index=255)


def step(kind, path):
    """A function that runs one forward and backward pass and returns the loss and the gradients."""
    leaves, field, labels = build(kind)
    loss_of = {"dense": dense_loss, "banded": cross_entropy}[path]

    def run():
        loss = loss_of(field, labels)
        return loss.item(), torch.autograd.grad(loss, leaves)

    return run


def status(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status: expected a line {key}, which Linux writes")


def peak(kind, path):
    """Growth of resident memory in one step, in bytes, once everything that stays has been loaded."""
    run = step(kind, path)
    loss = run()[0]
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    before = status("VmRSS")
    run()
    return {"peak_bytes": status("VmHWM") - before, "loss": loss}


def times(kind, rounds):
    """Median seconds of both paths, run in turn, and how far their gradients are apart."""
    runs = {path: step(kind, path) for path in PATHS}
    gradients = {path: run()[1] for path, run in runs.items()}
    apart = max(
        ((ours - theirs).abs().max() / theirs.abs().max()).item()
        for ours, theirs in zip(gradients["banded"], gradients["dense"], strict=True)
    )
    del gradients
    seconds = {path: [] for path in PATHS}
    for turn in range(rounds):
        for path in PATHS if turn % 2 else reversed(PATHS):
            start = time.perf_counter()
            runs[path]()
            seconds[path].append(time.perf_counter() - start)
    return {"seconds": {path: statistics.median(spent) for path, spent in seconds.items()}, "gradients_apart": apart}


def in_fresh_process(arguments, environment):
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(kind, rounds, threads):
    """Everything about one kind of field."""
    options = ("--threads", threads, "--rounds", rounds, "--worker", kind)
    found = in_fresh_process((*options, "times"), {})
    peaks = {path: in_fresh_process((*options, path), ALLOCATOR) for path in PATHS}
    found["peak_mib"] = {path: round(result["peak_bytes"] / 2**20, 1) for path, result in peaks.items()}
    found["loss"] = {path: result["loss"] for path, result in peaks.items()}
    found["memory_ratio"] = round(peaks["banded"]["peak_bytes"] / peaks["dense"]["peak_bytes"], 4)
    found["time_ratio"] = round(found["seconds"]["banded"] / found["seconds"]["dense"], 3)
    return found


def report(fields):
    print(f"{'field':10} {'dense MiB':>10} {'banded MiB':>10} {'ratio':>7} {'dense s':>9} {'banded s':>9} {'ratio':>6}")
    for kind, found in fields.items():
        memory, seconds = found["peak_mib"], found["seconds"]
        print(
            f"{kind:10} {memory['dense']:10.1f} {memory['banded']:10.1f} {found['memory_ratio']:7.3f} "
            f"{seconds['dense']:9.3f} {seconds['banded']:9.3f} {found['time_ratio']:6.2f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--worker", nargs=2, metavar=("FIELD", "WHAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        kind, what = arguments.worker
        print(json.dumps(times(kind, arguments.rounds) if what == "times" else peak(kind, what)))
        return
    fields = {kind: measure(kind, arguments.rounds, arguments.threads) for kind in FIELDS}
    report(fields)
    size = {"batch": 1, "classes": CLASSES, "coarse": COARSE, "image": IMAGE, "dtype": "float32"}
    write_result("memory_banded", {"size": size, "memory_target": TARGET, "fields": fields})
    missed = [kind for kind, found in fields.items() if found["memory_ratio"] > TARGET]
    if missed:
        sys.exit(f"memory ratio above {TARGET}: {', '.join(missed)}")


if __name__ == "__main__":
    main()
