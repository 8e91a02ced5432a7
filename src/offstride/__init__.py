"""Offstride: semantic segmentation whose subject is the step from coarse class scores to full-resolution labels."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offstride.models import Segmenter, create_model

__all__ = ["Segmenter", "__version__", "create_model"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load models when they are asked for: `offstride --help` should not wait for timm."""
    if name in ("Segmenter", "create_model"):
        from offstride import models

        return getattr(models, name)
    raise AttributeError(f"module 'offstride' has no attribute {name!r}")
