"""Gluon's ResNet-50-v2 up to stride 16, loaded from a file with the names of timm's full model."""

from collections import OrderedDict

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from offstride.backbones import Backbone

SLIM = {"stem_chs": 8, "channels": (16, 24, 32)}


@pytest.fixture
def full():
    """timm's model with a fourth stage and with Gluon's normalisation in the stem; no value is trivial."""
    model = timm.create_model("resnetv2_50", num_classes=0, stem_chs=8, channels=(16, 24, 32, 40)).eval()
    norm = timm.layers.BatchNormAct2d(8).eval()
    model.stem = nn.Sequential(OrderedDict(conv=model.stem.conv, norm=norm, pool=model.stem.pool))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data.uniform_(0.5, 1.5)
    return model


@pytest.fixture
def path(tmp_path, full):
    """Stem, stages 0–2, and of stage 3 what begins its first block; kernels in half precision, no batch counters."""
    kept = ("stem.", "stages.0.", "stages.1.", "stages.2.", "stages.3.blocks.0.norm1.", "stages.3.blocks.0.conv1.")
    tensors = {
        name: tensor.half() if tensor.ndim > 1 else tensor
        for name, tensor in full.state_dict().items()
        if name.startswith(kept) and not name.endswith("num_batches_tracked")
    }
    full.load_state_dict(tensors, strict=False)
    metadata = {"mean": "0.452223,0.425705,0.377568", "std": "0.285514,0.278885,0.282310"}
    save_file(tensors, tmp_path / "gluon.safetensors", metadata=metadata)
    return tmp_path / "gluon.safetensors"


def test_features_are_those_of_the_full_model(full, path):
    backbone = Backbone("resnetv2_50_gluon", output_stride=16, pretrained=path, options=SLIM).eval()
    images = torch.randn(2, 3, 65, 97)
    with torch.no_grad():
        x = full.stem.norm(full.stem.conv(images))
        expected = [x]
        x = full.stem.pool(x)
        for stage in full.stages[:3]:
            x = stage(x)
            expected.append(x)
        expected[-1] = full.stages[3].blocks[0].norm1(x)
        for feature, reference in zip(backbone(images), expected, strict=True):
            torch.testing.assert_close(feature, reference)
    assert [tuple(info) for info in backbone.features] == [
        (8, 2, "stem.norm"),
        (16, 4, "stages.0"),
        (24, 8, "stages.1"),
        (32, 16, "stages.3"),
    ]


def test_colours_come_from_the_file(path):
    backbone = Backbone("resnetv2_50_gluon", output_stride=8, pretrained=path, options=SLIM)
    assert backbone.mean == (0.452223, 0.425705, 0.377568)
    assert backbone.std == (0.285514, 0.278885, 0.282310)


def test_a_part_of_the_weights_is_not_enough(path, full):
    tensors = full.stages[0].state_dict(prefix="stages.0.")
    save_file(tensors, path.parent / "part.safetensors")
    with pytest.raises(ValueError, match=r"do not fit the network: \d+ missing \(stem.conv.weight"):
        Backbone("resnetv2_50_gluon", output_stride=16, pretrained=path.parent / "part.safetensors", options=SLIM)


def test_full_width():
    with torch.device("meta"):
        backbone = Backbone("resnetv2_50_gluon", output_stride=8)
    assert [(info.channels, info.stride) for info in backbone.features] == [(64, 2), (256, 4), (512, 8), (1024, 8)]
