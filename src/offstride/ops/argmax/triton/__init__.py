"""Label maps, confidences and confusion matrices by Triton kernels, for CUDA devices.

No full-resolution score map is ever in memory: a thread keeps the running maximum of its pixel. Where `unusable` has a
reason nothing else here may be called; without the package triton there is nothing else.
"""

from importlib.util import find_spec

from offstride.ops.cross_entropy.triton.launch import unusable

if find_spec("triton") is not None:
    from offstride.ops.argmax.triton.pixels import confidence, confusion, labels

__all__ = ["confidence", "confusion", "labels", "unusable"]
