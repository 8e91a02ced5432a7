"""Output strides by dilation, for networks to which timm does not give every stride. Tensors keep names and shapes.

timm's DenseNets have no such argument. Its aligned Xceptions have one, but then lack a shortcut's projection where a
dropped stride makes it needless (block 4 of Xception-71 at stride 8): weights of one stride would not fit another.
These networks are built at stride 32 and changed here.
"""

from collections.abc import Iterable
from typing import Any

from timm.models import is_model_in_modules
from timm.models.xception_aligned import PreXceptionModule, XceptionModule
from torch import nn

_BLOCK = "features_denseblock"


def dilate(modules: Iterable[nn.Module], rate: int) -> None:
    """Set the rate of the 3×3 convolutions among the modules, and the padding with which they keep the grid."""
    for module in modules:
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.dilation = module.padding = (rate, rate)


def dilate_densenet(network: Any, output_stride: int) -> None:
    """Change the output stride of a DenseNet's feature network in place.

    Transitions beyond the stride lose their pooling, and the 3×3 convolutions that follow them are dilated (DenseASPP,
    Yang et al., CVPR 2018): at 8, rate 2 in the third block and 4 in the fourth. Other networks do not change.
    """
    stride, rate = 4, 1
    for name, module in network.named_children():
        if name.startswith("features_transition") and stride < output_stride:
            stride *= 2
        elif name.startswith("features_transition"):
            module.pool, rate = nn.Identity(), rate * 2
        elif name.startswith(_BLOCK):
            dilate(module.modules(), rate)
            network.feature_info.info[int(name.removeprefix(_BLOCK))]["reduction"] = stride


def is_xception(name: str) -> bool:
    """Whether a timm model is an aligned Xception."""
    return is_model_in_modules(name, ["xception_aligned"])


def dilate_xception(network: Any, output_stride: int) -> None:
    """Change the output stride of an aligned Xception's feature network of stride 32 in place.

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
