"""Output strides for the aligned Xceptions of timm.

timm knows them, but leaves out a shortcut's projection where a dropped stride makes it needless (block 4 of Xception-71
at stride 8): weights of one stride would not fit another. These networks are built at stride 32 and changed here.
"""

from typing import Any

from timm.models import is_model_in_modules
from timm.models.xception_aligned import PreXceptionModule, XceptionModule
from torch import nn

from offstride.backbones.dilation import dilate


def is_xception(name: str) -> bool:
    """Whether a timm model is an aligned Xception."""
    return is_model_in_modules(name, ["xception_aligned"])


def dilate_xception(network: Any, output_stride: int) -> None:
    """Change the output stride of a feature network of stride 32 in place; its tensors stay what they are.

    A block whose stride goes keeps its rate, and those after it have twice that rate, as in timm.
    """
    running, rate, strides = 2, 1, []
    for block in network.children():
        if not isinstance(block, XceptionModule | PreXceptionModule):
            continue
        dilate(block.stack.modules(), rate)
        strided = [module for module in block.modules() if isinstance(module, nn.Conv2d) and module.stride == (2, 2)]
        if not strided:
            continue
        strides.append(running)
        if running < output_stride:
            running *= 2
            continue
        rate *= 2
        for module in strided:
            module.stride = (1, 1)
    for info, stride in zip(network.feature_info.info, [*strides, running], strict=True):
        info["reduction"] = stride
