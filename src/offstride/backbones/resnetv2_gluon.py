"""ResNet-50-v2 of MXNet Gluon up to stride 16.

Gluon's pre-activation ResNet (He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016) differs from timm's
`resnetv2_50` in the BN + ReLU of its stem.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import timm
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers.norm_act import BatchNormAct2d
from timm.models import FeatureListNet
from torch import nn


def resnetv2_50_gluon(output_stride: int = 16, out_indices: Sequence[int] = (0, 1, 2, 3), **options: Any) -> nn.Module:
    """Feature network of the stem and of stages 0–2.

    Features are `stem.norm`, `stages.0`, `stages.1` and `stages.3`: the BN + ReLU with which stage 3 begins, on the
    1024 channels of stage 2. Nothing else is left of stage 3.

    Args:
        output_stride: 16, or 8 with stage 2 at rate 2.
        out_indices: Features to return.
        options: Further arguments of `timm.create_model`; three `layers` and `channels`.
    """
    trunk: dict[str, Any] = {"layers": (3, 4, 6), "channels": (256, 512, 1024), "num_classes": 0}
    model: Any = timm.create_model("resnetv2_50", output_stride=output_stride, **(trunk | options))
    stem = OrderedDict(conv=model.stem.conv, norm=BatchNormAct2d(model.stem.conv.out_channels), pool=model.stem.pool)
    model.stem = nn.Sequential(stem)
    model.stages.add_module("3", _at("blocks.0.norm1", model.norm))
    info = model.feature_info
    model.feature_info = [info[0] | {"module": "stem.norm"}, *info[1:-1], info[-1] | {"module": "stages.3"}]
    network: Any = FeatureListNet(model, tuple(out_indices), flatten_sequential=True)  # pyright: ignore[reportArgumentType]
    network.pretrained_cfg = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD, "input_size": (3, 224, 224)}
    return network


def _at(path: str, module: nn.Module) -> nn.Module:
    """Containers around a module, so that its tensors have the names that files give them."""
    for name in reversed(path.split(".")):
        module = nn.Sequential(OrderedDict({name: module}))
    return module
