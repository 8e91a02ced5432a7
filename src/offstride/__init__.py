"""Offstride: semantic segmentation whose subject is the step from coarse class scores to full-resolution labels."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offstride.field import LogitField, argmax, confidence, cross_entropy
    from offstride.models import Segmenter, create_model
    from offstride.opening import open_model
    from offstride.ops import (
        located_cross_entropy,
        located_sample,
        upsample_argmax,
        upsample_confusion,
        upsample_cross_entropy,
    )
    from offstride.replace import plan_upsampling, replace_upsampling, sharpen

__all__ = [
    "LogitField",
    "Segmenter",
    "__version__",
    "argmax",
    "confidence",
    "create_model",
    "cross_entropy",
    "located_cross_entropy",
    "located_sample",
    "open_model",
    "plan_upsampling",
    "replace_upsampling",
    "sharpen",
    "upsample_argmax",
    "upsample_confusion",
    "upsample_cross_entropy",
]
__version__ = "0.1.0"

_HOMES = {
    "offstride.field": ("LogitField", "argmax", "confidence", "cross_entropy"),
    "offstride.models": ("Segmenter", "create_model"),
    "offstride.opening": ("open_model",),
    "offstride.replace": ("plan_upsampling", "replace_upsampling", "sharpen"),
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use: `offstride --help` should not wait for timm, nor the losses for a model."""
    if name not in __all__:
        raise AttributeError(f"module 'offstride' has no attribute {name!r}")
    home = next((room for room, names in _HOMES.items() if name in names), "offstride.ops")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
