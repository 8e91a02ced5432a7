"""Which tensors the kernels can serve, and where they run."""

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

INSTALLED = find_spec("triton") is not None

if INSTALLED:
    from triton import knobs

    INTERPRETED = bool(knobs.runtime.interpret)
    """Whether kernels run as Python, on a CPU: `TRITON_INTERPRET=1` was set before triton was imported. For tests."""

LARGEST = 2**31 - 2**16
"""Numbers of one image in one tensor: they are counted in 32 bits; images, and all else, in 64."""

NUMBERS = (torch.float32, torch.bfloat16, torch.float16)


def unusable(scores: Tensor, offsets: Tensor | None = None) -> str | None:
    """Why these tensors cannot be served, or None."""
    if scores.device.type not in ("cuda", "cpu"):
        return f"needs a CUDA device, got {scores.device.type}"
    if not INSTALLED:
        return "needs the package triton, which is not installed"
    if scores.device.type == "cpu" and not INTERPRETED:
        return "needs a CUDA device, got cpu"
    for name, tensor in (("scores", scores), ("offsets", offsets)):
        if tensor is not None and tensor.dtype not in NUMBERS:
            return f"computes in float32, got {name} of type {tensor.dtype}"
        if tensor is not None and slots(tensor.shape[1]) * tensor.shape[2:].numel() > LARGEST:
            return f"needs at most {LARGEST} numbers for an image, got {name} of shape {tuple(tensor.shape)}"
    if offsets is not None and offsets.shape[1] != 2:
        return f"needs one offset per pixel, got {offsets.shape[1] // 2} groups"
    return None


def slots(C: int) -> int:
    """Classes of a packed location, see `pack`: a multiple of four."""
    return -(-C // 4) * 4


def device_of(scores: Tensor) -> AbstractContextManager[object]:
    """Makes the device of a tensor the one on which kernels are launched."""
    return torch.cuda.device(scores.device) if scores.is_cuda else nullcontext()


def launch(kernel: Any, programs: int, *arguments: Any, **options: Any) -> None:
    """Run a kernel; products and sums are fused only where it says so, hence alike in all kernels."""
    kernel[(programs,)](*arguments, enable_fp_fusion=False, **options)
