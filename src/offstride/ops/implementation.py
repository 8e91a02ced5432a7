"""Which implementation serves a call: the fastest that can, or the one named by `impl`."""

import importlib
from typing import Literal

from torch import Tensor

Impl = Literal["auto", "reference", "banded", "cpu", "triton"]

_ORDER = ("cpu", "triton", "banded", "reference")  # the fastest first; the last serves all that is valid


def choose(impl: str, package: str, scores: Tensor, offsets: Tensor | None) -> str:
    """Name of the module of `package` that serves these tensors: the first usable one for "auto", else `impl` itself.

    A module may have a function `unusable(scores, offsets)` that returns a short reason or None; a module without one
    serves everything.

    Raises:
        ValueError: If `impl` is unknown or cannot serve these tensors; the message says why and what can.
    """
    if impl == "auto":
        return _usable(package, scores, offsets)
    if impl not in _ORDER:
        expected = ", ".join(("auto", *_ORDER))
        raise ValueError(f"impl: expected one of {expected}, got {impl!r}")
    reason = _reason(package, impl, scores, offsets)
    if reason is not None:
        instead = _usable(package, scores, offsets)
        raise ValueError(f'impl: {impl!r} cannot be used here: it {reason}; use {instead!r}, or "auto"')
    return impl


def _usable(package: str, scores: Tensor, offsets: Tensor | None) -> str:
    *fast, last = _ORDER
    return next((name for name in fast if _reason(package, name, scores, offsets) is None), last)


def _reason(package: str, name: str, scores: Tensor, offsets: Tensor | None) -> str | None:
    """Why an implementation cannot serve these tensors, or None."""
    try:
        module = importlib.import_module(f"{package}.{name}")
    except ImportError as error:  # triton is installed on few machines
        return f"needs {error.name or error}, which is not installed"
    return module.unusable(scores, offsets) if hasattr(module, "unusable") else None
