"""Which implementation serves a call: the fastest that can, or the one named by `impl`."""

import importlib
from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

Impl = Literal["auto", "reference", "banded", "cpu", "triton"]

_ORDER = ("cpu", "triton", "banded", "reference")  # the fastest first; the last serves all that is valid


def serving(package: str, function: str, impl: str, scores: Tensor, offsets: Tensor | None) -> Callable[..., Any]:
    """The function of a module of `package` that serves these tensors; to be chosen when the work is done, not when
    `torch.compile` traces it.

    A module may have a function `unusable(scores, offsets)` that returns a short reason or None; a module without one
    serves everything.

    Args:
        package: Package that has the modules.
        function: Name of the function.
        impl: Name of the module, or "auto" for the first usable one.
        scores: Scores that it shall read.
        offsets: Offsets at which it shall read them.

    Raises:
        ValueError: If `impl` is unknown or cannot serve these tensors; the message says why and what can.
    """
    name = _usable(package, scores, offsets) if impl == "auto" else impl
    if name not in _ORDER:
        expected = ", ".join(("auto", *_ORDER))
        raise ValueError(f"impl: expected one of {expected}, got {impl!r}")
    reason = None if impl == "auto" else _reason(package, impl, scores, offsets)
    if reason is not None:
        instead = _usable(package, scores, offsets)
        raise ValueError(f'impl: {impl!r} cannot be used here: it {reason}; use {instead!r}, or "auto"')
    return getattr(importlib.import_module(f"{package}.{name}"), function)


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
