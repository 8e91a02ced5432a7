import pytest
import torch
from head_costs import model_costs, parameters
from plain_layers import applied, bilinear, shake
from torch import nn

from offstride.features import FeatureInfo
from offstride.heads import EncNetHead, FCNHead

pytestmark = pytest.mark.slow

FEATURES = [FeatureInfo(3, 4, "c2"), FeatureInfo(5, 8, "c3"), FeatureInfo(7, 16, "c4"), FeatureInfo(8, 16, "c5")]


def make_features():
    sizes = ((3, 24, 20), (5, 12, 10), (7, 6, 5), (8, 6, 5))
    return [torch.randn(2, *size) for size in sizes]


def scaled(head, x):
    """The scene's channels, written out from the reduced feature on."""
    encoded = head.encoding(applied(head.embed, x))
    gate = 1 / (1 + (-(encoded @ head.gate.weight.T + head.gate.bias)).exp())
    return (x * (1 + gate[:, :, None, None])).clamp(min=0), encoded


def test_equals_its_definition():
    head = shake(EncNetHead(FEATURES, classes=3, channels=6, codewords=4))
    features = make_features()
    x = features[-1]
    expected, encoded = scaled(head, applied(head.reduce, x))
    decoded = head.decode(features)
    torch.testing.assert_close(decoded.map, expected)
    torch.testing.assert_close(decoded.scene, encoded @ head.scene.weight.T + head.scene.bias)
    assert head(features).equal(decoded.map)


def test_lateral_features_join():
    head = shake(EncNetHead(FEATURES, classes=3, channels=6, codewords=4, lateral=True))
    features = make_features()
    c3, c4 = (applied(unit, bilinear(x, (6, 5))) for unit, x in zip(head.lateral, features[1:3], strict=True))
    joined = applied(head.join, torch.cat([applied(head.reduce, features[-1]), c3, c4], 1))
    torch.testing.assert_close(head(features), scaled(head, joined)[0])


def test_scene_is_optional():
    head = EncNetHead(FEATURES, classes=3, channels=6, scene=False)
    assert head.decode(make_features()).scene is None
    assert not any(name.startswith("scene") for name in head.state_dict())


def test_lateral_needs_features():
    with pytest.raises(ValueError, match="lateral: expected three features or more for it, got 2"):
        EncNetHead(FEATURES[-2:], classes=3, lateral=True)


@pytest.mark.parametrize(
    ("backbone", "output_stride", "size", "lateral", "count", "gmacs"),
    [
        ("resnet50s", 8, 480, False, 33_672_854, 128.849),
        ("resnet50s", 8, 480, True, 41_540_246, 157.160),
        ("resnet50s", 8, 512, False, 33_672_854, 146.60),
        ("resnet50s", 32, 512, False, 33_672_854, 30.924),
        ("resnet101s", 8, 512, False, 52_664_982, 224.18),
        ("resnet101s", 32, 512, False, 52_664_982, 50.319),
    ],
)
def test_published_models_have_the_published_cost(backbone, output_stride, size, lateral, count, gmacs):
    """The published multiply-adds leave the two matrix products of the encoding layer out: 0.09 % more."""
    costs = model_costs(backbone, output_stride, EncNetHead, 59, (size, size), classes=59, lateral=lateral)
    assert costs == (count, pytest.approx(gmacs, abs=0.006))


def test_auxiliary_head_has_the_published_cost():
    with torch.device("meta"):
        head = FCNHead([FeatureInfo(1024, 8, "layer3")])
        assert parameters(head, nn.Conv2d(head.out_channels, 59, 1)) == 36_047_825 - 33_672_854


def test_autocast_gives_finite_gradients():
    head = EncNetHead(FEATURES, classes=3, channels=16, codewords=4)
    with torch.autocast("cpu", torch.bfloat16):
        decoded = head.decode(make_features())
        (decoded.map.float().sum() + decoded.scene.float().sum()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())
    assert head.encoding.codewords.grad.abs().sum() > 0
