"""Offstride: semantic segmentation whose subject is the step from coarse class scores to full-resolution labels."""

__version__ = "0.1.0"
