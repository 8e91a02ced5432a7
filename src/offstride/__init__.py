"""Offstride: semantic segmentation whose subject is the step from coarse class scores to full-resolution labels."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offstride.models import Segmenter, create_model
    from offstride.ops import upsample_argmax, upsample_cross_entropy
    from offstride.replace import plan_upsampling, replace_upsampling

__all__ = [
    "Segmenter",
    "__version__",
    "create_model",
    "plan_upsampling",
    "replace_upsampling",
    "upsample_argmax",
    "upsample_cross_entropy",
]
__version__ = "0.1.0"

_HOMES = {
    "Segmenter": "offstride.models",
    "create_model": "offstride.models",
    "plan_upsampling": "offstride.replace",
    "replace_upsampling": "offstride.replace",
    "upsample_argmax": "offstride.ops",
    "upsample_cross_entropy": "offstride.ops",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is: `offstride --help` should not wait for timm, nor the losses for a model."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'offstride' has no attribute {name!r}")
