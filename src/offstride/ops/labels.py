"""Conventions of label maps, shared by every room."""

IGNORE_INDEX = 255
"""Label of pixels that no loss and no metric counts."""
