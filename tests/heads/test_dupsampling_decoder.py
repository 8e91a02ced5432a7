"""The decoder of DUpsampling against its definition, and its cost against Tables 2 to 4."""

import pytest
import torch
from plain_layers import applied, aspp, bilinear, shake
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from offstride.features import FeatureInfo
from offstride.heads import DUpsamplingDecoder
from offstride.upsamplers import DUpsampling

FEATURES = [
    FeatureInfo(7, 2, "fine"),
    FeatureInfo(3, 4, "first"),
    FeatureInfo(4, 16, "third"),
    FeatureInfo(6, 16, "last"),
]
OPTIONS = {"rates": (1, 2), "channels": 5, "low_channels": 4}


def make_features():
    """Of an 81×57 image."""
    sizes = ((7, 41, 29), (3, 21, 15), (4, 6, 4), (6, 6, 4))
    return [torch.randn(2, *size) for size in sizes]


def stacked(stack, values, low):
    first, second = stack.refine
    return applied(second, applied(first, torch.cat([values, applied(stack.reduce, low)], 1)))


@pytest.mark.parametrize("low_level", [(), ("fine",), ("third", "first"), ("first", "third")])
def test_all_features_meet_on_the_coarsest_grid(low_level):
    head, features = shake(DUpsamplingDecoder(FEATURES, low_level, **OPTIONS)), make_features()
    by_name = dict(zip(("fine", "first", "third", "last"), features, strict=True))
    expected = aspp(head.aspp, by_name["last"], (1, 2))
    for name, stack in zip(low_level, head.stacks, strict=True):
        expected = stacked(stack, expected, bilinear(by_name[name], (6, 4)))
    torch.testing.assert_close(head(features), expected)
    assert (head.out_channels, head.out_stride) == (5, 16)


def test_vanilla_goes_to_the_grid_of_the_low_level_feature():
    head = shake(DUpsamplingDecoder(FEATURES, ("third", "first"), vanilla=True, **OPTIONS))
    features = make_features()
    values = stacked(head.stacks[0], aspp(head.aspp, features[-1], (1, 2)), features[2])
    expected = stacked(head.stacks[1], bilinear(values, (21, 15)), features[1])
    torch.testing.assert_close(head(features), expected)
    assert head.out_stride == 4


def test_a_feature_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="low_level: expected one of the features fine, first, third, last, got 'x'"):
        DUpsamplingDecoder(FEATURES, ["x"])


LOW_LEVEL = {  # channels and stride
    "conv1_3": (128, 2),
    "b1u2c3": (256, 4),
    "b3u6c3": (1024, 16),
    "efb2u1c2": (256, 4),
    "mfb1u16c3": (728, 16),
}


def decoder_gflops(low_level, channels, classes, size):
    """1e9 operations after ASPP: two for a multiply-add and two for every score that DUpsampling makes (mean and
    temperature). Without `channels`, of the vanilla decoder and its classifier.
    """

    def grid(stride):
        return [-(-side // stride) for side in size]

    features = [FeatureInfo(*LOW_LEVEL[name], name) for name in low_level] + [FeatureInfo(2048, 16, "last")]
    with torch.device("meta"):
        head = DUpsamplingDecoder(features, low_level, vanilla=channels is None).eval()
        values = torch.empty(1, 256, *grid(16))
        low = [torch.empty(1, info.channels, *grid(info.stride)) for info in features[:-1]]
        with FlopCounterMode(display=False) as counter:
            values = head.aggregate(values, low)
            if channels is None:
                nn.Conv2d(256, classes, 1)(values)
                return counter.get_total_flops() / 1e9
            field = DUpsampling(256, classes, 16, channels)(values, values, size)
            assert field.dense().shape == (1, classes, *size)
    rows, columns = grid(16)
    return (counter.get_total_flops() + 2 * rows * columns * 16**2 * classes) / 1e9


VOC, CITYSCAPES = (21, (513, 513)), (19, (1025, 2049))


@pytest.mark.parametrize(
    ("low_level", "channels", "data", "gflops"),
    [
        ((), 64, VOC, 0.797),
        (("conv1_3",), 64, VOC, 1.133),
        (("b1u2c3",), 64, VOC, 1.147),
        (("b3u6c3",), 64, VOC, 1.227),
        (("b3u6c3", "b1u2c3"), 64, VOC, 1.577),
        (("b3u6c3", "conv1_3"), 64, VOC, 1.564),
        (("efb2u1c2",), 128, VOC, 1.932),
        (("mfb1u16c3",), 128, VOC, 1.981),
        (("b1u2c3",), None, VOC, 5.527),
        (("efb2u1c2",), None, VOC, 5.527),
        (("mfb1u16c3",), None, VOC, 0.411),
        (("efb2u1c2",), None, CITYSCAPES, 43.653),
        (("mfb1u16c3",), 256, CITYSCAPES, 25.137),
    ],
)
def test_decoders_have_the_published_cost(low_level, channels, data, gflops):
    assert round(decoder_gflops(low_level, channels, *data), 3) == gflops
