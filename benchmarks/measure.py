"""Times of runs in turn, and peaks of memory in fresh processes."""

import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from offstride.ops import native

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # freed memory goes back at once


def interleave(functions, rounds):
    """Seconds of each function, called in turn, every other round backwards: median, quartiles and fastest.

    A call that is not timed comes right before each one that is: what the kernel still does for the function before,
    mostly taking back its memory, is then nobody's, and every function finds the caches, the threads and the heap as it
    leaves them itself. What lives already is out of the garbage collector's sight, whose search would empty the caches.
    """
    spent = {name: [] for name in functions}
    for function in functions.values():
        function()
    gc.collect()
    gc.freeze()
    for turn in range(rounds):
        for name in functions if turn % 2 else reversed(functions):
            gc.collect()
            functions[name]()
            start = time.perf_counter()
            functions[name]()
            spent[name].append(time.perf_counter() - start)
    gc.unfreeze()
    return {name: summary(seconds) for name, seconds in spent.items()}


def summary(seconds):
    first, median, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median": median, "quartiles": [first, third], "fastest": min(seconds)}


def with_ratios(times, base):
    """The same, and the ratio of medians to one of them."""
    return {name: each | {"ratio": each["median"] / times[base]["median"]} for name, each in times.items()}


def status(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status: expected a line {key}, which Linux writes")


def peak(function):
    """Growth of resident memory in one call, in bytes, once everything that stays has been loaded."""
    function()
    native.forget_memory()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    before = status("VmRSS")
    function()
    return status("VmHWM") - before


def in_fresh_process(script, *arguments):
    """What a run of a script prints as JSON on its last line."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | ALLOCATOR, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
