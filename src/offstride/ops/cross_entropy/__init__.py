"""Cross-entropy of rendered scores."""

from offstride.ops.cross_entropy.reference import label_weight, pixel_cross_entropy

__all__ = ["label_weight", "pixel_cross_entropy"]
