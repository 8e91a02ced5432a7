"""Cross-entropy of upsampled scores by Triton kernels, for CUDA devices.

Any number of classes, float32, bfloat16 and float16, any strides; computed in float32. Nothing waits for the device:
what losses are divided by is read there. Where `unusable` has a reason nothing else here may be called; without the
package triton there is nothing else.
"""

from importlib.util import find_spec

from offstride.ops.cross_entropy.triton.launch import unusable

if find_spec("triton") is not None:
    from offstride.ops.cross_entropy.triton.displaced_loss import loss, pixels, pixels_backward

__all__ = ["loss", "pixels", "pixels_backward", "unusable"]
