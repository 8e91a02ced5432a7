"""Every family at several output strides: same tensors, rounded-up grids, bfloat16, dilation in place of strides."""

from functools import cache

import pytest
import timm
import torch
import torch.nn.functional as F

from offstride.backbones import Backbone

pytestmark = pytest.mark.slow

FAMILIES = [
    "resnet50",
    "resnet18",
    "resnet50s",
    "xception65",
    "xception71",
    "densenet121",
    "mobilenetv2_100",
    "resnetv2_50",
    "resnetv2_50_gluon",
    "wider_resnet38",
]
SLIM = {"channels": (8, 8, 8, 8), "zero_init_last": False}
SMALL = [
    ("resnet50", {"options": SLIM, "cascade": 5, "multi_grid": (1, 2, 4)}),
    ("resnet50s", {"options": SLIM, "taps": ("conv1_3", "b1u2c3", "b3u6c3")}),
    ("xception41", {"taps": ("blocks.4.stack.conv3",)}),
    ("densenet121", {"taps": ("features.transition2.conv",)}),
    ("mobilenetv2_100", {}),
    ("resnetv2_50", {"options": {"channels": (8, 8, 8, 8)}}),
    ("resnetv2_50_gluon", {"options": {"stem_chs": 8, "channels": (8, 8, 8)}}),
    ("wider_resnet38", {"options": {"width": 1 / 16}}),
]
SIZES = [(1, 1), (33, 70), (65, 31), (8, 57)]


@cache
def small(name, stride):
    return Backbone(name, output_stride=stride, **dict(SMALL)[name]).eval()


def ceil(size, stride):
    return -(-size // stride)


@pytest.mark.parametrize("name", FAMILIES)
def test_tensors_do_not_depend_on_the_stride(name):
    shapes = []
    for stride in (8, 16 if name == "resnetv2_50_gluon" else 32):
        with torch.device("meta"):
            backbone = Backbone(name, output_stride=stride)
        assert backbone.features[-1].stride == stride
        shapes.append({key: tensor.shape for key, tensor in backbone.state_dict().items()})
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", dict(SMALL))
def test_grids_are_rounded_up(name, stride):
    backbone = small(name, stride)
    for height, width in SIZES:
        with torch.no_grad():
            maps = backbone(torch.zeros(1, 3, height, width))
        expected = [
            (1, info.channels, ceil(height, info.stride), ceil(width, info.stride)) for info in backbone.features
        ]
        assert [tuple(feature.shape) for feature in maps] == expected


@pytest.mark.parametrize("name", dict(SMALL))
def test_bfloat16(name):
    backbone = small(name, 16)
    images = torch.randn(1, 3, 33, 70)
    with torch.no_grad():
        expected = backbone(images)
        with torch.autocast("cpu", torch.bfloat16):
            features = backbone(images)
    for low, reference in zip(features, expected, strict=True):
        assert F.cosine_similarity(low.float().flatten(), reference.flatten(), dim=0) > 0.98


@pytest.mark.parametrize("name", ["xception41", "xception71", "xception65p"])
def test_dense_xceptions_hold_what_strided_ones_compute(name):
    """Convolutions with a rate on a dense grid give, at every second position, what they give on the halved grid."""
    strided, dense = (Backbone(name, output_stride=stride).eval() for stride in (32, 8))
    dense.load_state_dict(strided.state_dict())
    images = torch.randn(1, 3, 97, 65)
    with torch.no_grad():
        maps = zip(strided(images), dense(images), strided.features, dense.features, strict=True)
    for coarse, fine, info, dense_info in maps:
        step = info.stride // dense_info.stride
        torch.testing.assert_close(fine[:, :, ::step, ::step], coarse, rtol=1e-4, atol=1e-5 * coarse.abs().max().item())


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_xceptions_are_those_of_timm(stride):
    backbone = Backbone("xception41", output_stride=stride).eval()
    plain = timm.create_model("xception41", features_only=True, output_stride=stride).eval()
    plain.load_state_dict(backbone.network.state_dict())
    images = torch.randn(1, 3, 45, 67)
    with torch.no_grad():
        for feature, expected in zip(backbone(images), plain(images), strict=True):
            torch.testing.assert_close(feature, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())


def densenet(full, images, pools, rates):
    """DenseNet from the tensors of timm's full model: whether each transition pools, and the rates of the blocks."""
    x = full.features.pool0(full.features.norm0(full.features.conv0(images)))
    for number, rate in enumerate(rates, start=1):
        for layer in full.features.get_submodule(f"denseblock{number}").values():
            y = layer.norm2(layer.conv1(layer.norm1(x)))
            x = torch.cat([x, F.conv2d(y, layer.conv2.weight, padding=rate, dilation=rate)], 1)
        yield x
        if number < len(rates):
            transition = full.features.get_submodule(f"transition{number}")
            x = transition.conv(transition.norm(x))
            x = F.avg_pool2d(x, 2) if pools[number - 1] else x


@pytest.mark.parametrize(
    ("stride", "pools", "rates"),
    [(8, (True, False, False), (1, 1, 2, 4)), (16, (True, True, False), (1, 1, 1, 2))],
)
def test_densenets_are_dilated_in_place_of_pooling(stride, pools, rates):
    full = timm.create_model("densenet121").eval()
    backbone = Backbone("densenet121", output_stride=stride).eval()
    state = full.state_dict()
    backbone.network.load_state_dict({name: state[name.replace("_", ".", 1)] for name in backbone.network.state_dict()})
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        blocks = [*densenet(full, images, pools, rates)]
        expected = [*blocks[:3], full.features.norm5(blocks[3])]
        for feature, reference in zip(backbone(images)[1:], expected, strict=True):
            torch.testing.assert_close(feature, reference, rtol=1e-4, atol=1e-4)
