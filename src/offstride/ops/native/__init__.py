"""The C kernels: loaded, and called through pointers.

They are compiled when Offstride is installed, if there is a C compiler; without one everything runs in plain PyTorch.
The library knows nothing of Python or torch, so one build serves all versions of both. It holds its code for several
instruction sets and chooses at run time; `OFFSTRIDE_CPU=avx2` (or `baseline`, `avx512`) chooses by hand, and
`OFFSTRIDE_CPU=off` does without the kernels.
"""

import ctypes
import functools
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor

_SIZE = ctypes.c_int64


class Task(ctypes.Structure):
    """`Task` of task.h: the same fields in the same order."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("scores", "offsets", "weight", "pixel_weight", "labels")),
        *((name, ctypes.c_void_p) for name in ("losses", "grad_scores", "grad_offsets")),
        *((name, _SIZE) for name in ("B", "C", "h", "w", "H", "W", "label_bytes", "ignore_index")),
        *((name, _SIZE) for name in ("origin", "location", "ties", "window", "threads")),
        *((name, ctypes.c_float) for name in ("smoothing", "penalty", "strength", "scale", "pull_scale", "noise")),
        *((name, ctypes.c_double) for name in ("loss", "pull")),
    )


class LabelTask(ctypes.Structure):
    """`LabelTask` of label_task.h: the same fields in the same order."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("scores", "offsets", "target", "labels", "counts")),
        *((name, _SIZE) for name in ("B", "C", "h", "w", "H", "W")),
        *((name, _SIZE) for name in ("target_bytes", "ignore_index", "origin", "threads")),
    )


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where there are none; a notice says so once."""
    choice = os.environ.get("OFFSTRIDE_CPU", "")
    if choice == "off":
        return None
    files = sorted(Path(__file__).parent.glob("_kernels*.so"))
    if not files:
        warnings.warn(
            "offstride: no compiled CPU kernels, plain PyTorch serves instead (slower, same results); "
            "reinstall with a C compiler at hand to have them",
            stacklevel=2,
        )
        return None
    loaded = ctypes.CDLL(str(files[0]))
    loaded.offstride_use.restype = ctypes.c_char_p
    if choice and not loaded.offstride_use(choice.encode()):
        raise ValueError(f"OFFSTRIDE_CPU: expected avx512, avx2, baseline or off, and this processor's; got {choice!r}")
    return loaded


def use(name: str | None = None) -> str:
    """Compute with another instruction set from now on, the best by default; returns its name.

    Raises:
        ValueError: If the kernels or this processor lack it.
    """
    loaded = library()
    chosen = loaded and loaded.offstride_use(name.encode() if name else None)
    if not chosen:
        raise ValueError(f"name: expected an instruction set of this processor, got {name!r}")
    return chosen.decode()


def forget_memory() -> None:
    """Return the memory that the kernels keep between calls, as much as one image needs."""
    loaded = library()
    if loaded is not None:
        loaded.offstride_forget_memory()


def plain(tensor: Tensor | None) -> Tensor | None:
    """The tensor as the kernels read it: contiguous float32."""
    return None if tensor is None else tensor.detach().to(torch.float32).contiguous()


def pointer(tensor: Tensor | None) -> int | None:
    """Address of a contiguous tensor; it must outlive the call."""
    return None if tensor is None else tensor.data_ptr()


def count_labels(labels: Tensor, classes: int, ignore_index: int, weight: Tensor | None) -> tuple[float, int | None]:
    """Number of valid pixels of contiguous uint8 or int64 labels, or the sum of their class weights, and a label that
    is no class if there is one.
    """
    count, wrong = ctypes.c_double(), _SIZE()
    sizes = map(_SIZE, (labels.element_size(), labels.numel(), classes, ignore_index))
    given = ctypes.c_void_p(pointer(labels)), *sizes, ctypes.c_void_p(pointer(weight)), _SIZE(torch.get_num_threads())
    failed = _loaded().offstride_count_labels(*given, ctypes.byref(count), ctypes.byref(wrong))
    _check_memory(failed)
    return count.value, wrong.value if failed else None


def cross_entropy(task: Task) -> None:
    """Run a task; see task.h."""
    _check_memory(_loaded().offstride_cross_entropy(ctypes.byref(task)))


def labels(task: LabelTask) -> None:
    """Run a task; see label_task.h."""
    _check_memory(_loaded().offstride_labels(ctypes.byref(task)))


def label_thoroughly(value: bool) -> None:
    """Look at all classes of every pixel from now on, or only at those that can win: the labels are the same, which a
    test shows.
    """
    _loaded().offstride_label_thoroughly(int(value))


def _loaded() -> ctypes.CDLL:
    loaded = library()
    if loaded is None:
        raise RuntimeError("expected compiled kernels; ask library() first")
    return loaded


def _check_memory(code: int) -> None:
    if code < 0:
        raise MemoryError("offstride: not enough memory for the CPU kernels")
