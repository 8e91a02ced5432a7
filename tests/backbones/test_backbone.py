from functools import cache

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride.backbones import Backbone

NETWORKS = [
    ("test_resnet", 8),
    ("test_efficientnet", 16),
    ("test_convnext", 32),
    ("test_convnext", 8),
    ("test_vit", 16),
]


@cache
def backbone_of(name, stride):
    return Backbone(name, output_stride=stride).eval()


def ceil(size, stride):
    return (size + stride - 1) // stride


@pytest.mark.parametrize(("name", "stride"), NETWORKS)
@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_any_image_size_gives_grids_rounded_up(name, stride, height, width):
    backbone = backbone_of(name, stride)
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 3, height, width))
    expected = [(1, info.channels, ceil(height, info.stride), ceil(width, info.stride)) for info in backbone.features]
    assert [tuple(feature.shape) for feature in maps] == expected


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_networks_that_round_up_see_the_image_as_it_is(name):
    backbone = Backbone(name, output_stride=16).eval()
    plain = timm.create_model(name, features_only=True, output_stride=16).eval()
    plain.load_state_dict(backbone.network.state_dict())
    images = torch.randn(2, 3, 45, 67)
    for feature, expected in zip(backbone(images), plain(images), strict=True):
        torch.testing.assert_close(feature, expected, rtol=0, atol=0)


def test_networks_that_drop_borders_see_mean_colour_beyond_them():
    backbone = Backbone("test_convnext").eval()
    images = torch.randn(1, 3, 33, 70)
    padded = torch.zeros(1, 3, 64, 96)
    padded[:, :, :33, :70] = images
    for feature, expected, info in zip(backbone(images), backbone.network(padded), backbone.features, strict=True):
        h, w = ceil(33, info.stride), ceil(70, info.stride)
        torch.testing.assert_close(feature, expected[:, :, :h, :w], rtol=0, atol=0)


def test_channels_last_networks_come_out_channels_first():
    backbone = Backbone("swin_tiny_patch4_window7_224").eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps, plain = backbone(images), backbone.network(images)
    assert [feature.shape[1] for feature in maps] == [info.channels for info in backbone.features]
    torch.testing.assert_close(maps[1].movedim(1, 3), plain[1], rtol=0, atol=0)


def test_construction_leaves_the_network_as_timm_makes_it():
    torch.manual_seed(3)
    expected = timm.create_model("test_resnet", features_only=True).state_dict()
    torch.manual_seed(3)
    backbone = Backbone("test_resnet")
    assert all(module.training for module in backbone.modules())
    for name, tensor in backbone.network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)


def test_features_name_channels_and_stride():
    features = Backbone("test_resnet", output_stride=8).features
    assert [info.stride for info in features] == [2, 4, 8, 8, 8]
    assert features[3].name == "layer3"


def test_colours_are_those_that_timm_publishes():
    backbone = Backbone("test_vit", output_stride=16)
    assert (backbone.mean, backbone.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_options_reach_timm():
    backbone = Backbone("test_resnet", options={"in_chans": 4, "out_indices": [2, 4]}).eval()
    assert [info.name for info in backbone.features] == ["layer2", "layer4"]
    assert len(backbone(torch.zeros(1, 4, 32, 32))) == 2


def test_a_network_for_one_image_size_says_so():
    backbone = Backbone("cait_xxs24_224", output_stride=16)
    with pytest.raises(ValueError, match=r"images: .*\(224, 224\).* got \(64, 64\)"):
        backbone(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    "images",
    [torch.zeros(3, 32, 32), torch.zeros(1, 4, 32, 32), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)],
    ids=["no batch", "four channels", "bytes"],
)
def test_images_are_checked(images):
    with pytest.raises(ValueError, match=r"images: expected floating-point \(B, 3, H, W\), got"):
        backbone_of("test_resnet", 8)(images)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet51", {}, "'resnet51'.*resnet50"),
        ("resnet50.a1_in2k", {}, "close: resnet50.a1_in1k"),
        ("densenet121", {"output_stride": 64}, "'densenet121' cannot reach 64, its own is 32"),
        ("densenet121", {"output_stride": 12}, "'densenet121' cannot reach 12, its own is 16"),
        ("wider_resnet", {}, "'wider_resnet'; close: wider_resnet38"),
        ("wider_resnet38", {"options": {"depth": 3}}, "options: 'wider_resnet38' refuses.*depth"),
        ("resnetv2_50_gluon", {}, "cannot reach 32, its own is 16"),
        ("test_resnet", {"output_stride": 4}, "cannot reach 4"),
        ("test_vit", {"output_stride": 32}, "cannot reach 32, its own is 16"),
        ("test_resnet", {"options": {"padding_kind": "same"}}, "options: 'test_resnet' refuses.*padding_kind"),
    ],
)
def test_impossible_networks_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        Backbone(name, **arguments)


def test_our_networks_have_no_weights_to_download():
    with pytest.raises(ValueError, match=r"pretrained: no weights of 'wider_resnet38'.*safetensors"):
        Backbone("wider_resnet38", pretrained=True)


def test_pretrained_weights_are_left_to_timm(monkeypatch):
    build = timm.create_model
    asked = []

    def offline(name, pretrained=False, **options):
        asked.append(pretrained)
        if pretrained:
            raise OSError("no route to host")
        return build(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ValueError, match=r"weights of 'test_resnet': they cannot be downloaded.*\(no route to host\)"):
        Backbone("test_resnet", pretrained=True)
    Backbone("test_resnet", pretrained=False)
    assert asked == [True, False]
