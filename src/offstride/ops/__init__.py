"""Tensors in, tensors out: grids, sampling, interpolation, cross-entropy and label maps, without modules and without
I/O.
"""

from offstride.ops import flops  # noqa: F401 - registers formulas
from offstride.ops.argmax import upsample_argmax, upsample_confusion
from offstride.ops.cross_entropy import located_cross_entropy, upsample_cross_entropy
from offstride.ops.grid import Origin
from offstride.ops.implementation import Impl
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.sample import located_sample

__all__ = [
    "IGNORE_INDEX",
    "Impl",
    "Origin",
    "located_cross_entropy",
    "located_sample",
    "upsample_argmax",
    "upsample_confusion",
    "upsample_cross_entropy",
]
