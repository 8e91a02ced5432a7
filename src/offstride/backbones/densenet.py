"""Output strides for the DenseNets of timm, which know no such argument."""

from typing import Any

from torch import nn

from offstride.backbones.dilation import dilate

_BLOCK = "features_denseblock"


def dilate_densenet(network: Any, output_stride: int) -> None:
    """Change the output stride of a DenseNet's feature network in place; its tensors stay what they are.

    Transitions beyond the stride lose their pooling, and the 3×3 convolutions that follow them are dilated (DenseASPP,
    Yang et al., CVPR 2018): at 8, rate 2 in the third block and 4 in the fourth. Other networks are left alone.
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
