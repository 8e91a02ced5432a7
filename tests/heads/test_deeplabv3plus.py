import pytest
import torch
from plain_layers import applied, aspp, bilinear, shake
from torch import nn

from offstride.features import FeatureInfo
from offstride.heads import DeepLabv3PlusHead
from offstride.upsamplers import LaU

FEATURES = [
    FeatureInfo(9, 4, "tapped"),
    FeatureInfo(2, 2, "stem"),
    FeatureInfo(3, 4, "first"),
    FeatureInfo(6, 16, "last"),
]


def make_features():
    """Of an 81×57 image."""
    sizes = ((9, 21, 15), (2, 41, 29), (3, 21, 15), (6, 6, 4))
    return [torch.randn(2, *size) for size in sizes]


def refined(fuse, values, low):
    first, second = fuse.refine
    return applied(second, applied(first, torch.cat([values, applied(fuse.reduce, low)], 1)))


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize(("low_level", "index"), [(None, 2), ("tapped", 0), ("stem", 1)])
def test_equals_its_definition(separable, low_level, index):
    options = {"rates": (1, 2), "channels": 5, "low_channels": 4, "separable": separable, "low_level": low_level}
    head, features = shake(DeepLabv3PlusHead(FEATURES, **options)), make_features()
    low = features[index]
    values = bilinear(aspp(head.aspp, features[-1], (1, 2)), low.shape[2:])
    torch.testing.assert_close(head(features), refined(head.fuse, values, low))
    assert (head.out_channels, head.out_stride) == (5, FEATURES[index].stride)


def test_a_learned_upsampler_takes_the_place_of_bilinear():
    options = {"rates": (1,), "channels": 5, "low_channels": 4}
    bilinear_head = shake(DeepLabv3PlusHead(FEATURES, **options))
    head = DeepLabv3PlusHead(FEATURES, upsample=LaU(5, 4, init="zero"), **options).eval()
    head.load_state_dict(bilinear_head.state_dict(), strict=False)
    features = make_features()
    torch.testing.assert_close(head(features), bilinear_head(features))
    nn.init.constant_(head.upsample.vertical[2].weight, 0.1)
    assert not torch.allclose(head(features), bilinear_head(features))
    head(features).square().sum().backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in head.upsample.offset_layers()[:2])


def test_its_upsampler_sees_values_features_and_size():
    class Spy(nn.Module):
        def forward(self, values, features, size):
            self.seen = values, features, size
            return LaU(5, 4).eval()(values, features, size)

    head, features = DeepLabv3PlusHead(FEATURES, channels=5, upsample=Spy()).eval(), make_features()
    head(features)
    values, guide, size = head.upsample.seen
    assert values.equal(head.aspp(features))
    assert guide.equal(values)
    assert size == (21, 15)


def test_a_feature_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="low_level: expected one of the features tapped, stem, first, last, got 'x'"):
        DeepLabv3PlusHead(FEATURES, low_level="x")
    with pytest.raises(ValueError, match=r"low_level: expected a feature of stride 4, got \[2, 16\]"):
        DeepLabv3PlusHead([FEATURES[1], FEATURES[3]])
