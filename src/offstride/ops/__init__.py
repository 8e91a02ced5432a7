"""Tensors in, tensors out: grids, sampling, interpolation and cross-entropy, without modules and without I/O."""

from offstride.ops.grid import Origin
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.sample import located_sample

__all__ = ["IGNORE_INDEX", "Origin", "located_sample"]
