"""Which feature map a stride stands for."""

import pytest

from offstride.features import FeatureInfo, level_of_stride

LEVELS = [
    FeatureInfo(8, 4, "layer1"),
    FeatureInfo(16, 8, "layer2"),
    FeatureInfo(32, 8, "layer3"),
    FeatureInfo(9, 16, "x"),
]


def test_a_stride_is_its_deepest_map():
    assert [level_of_stride(LEVELS, stride) for stride in (4, 8, 16)] == [0, 2, 3]
    with pytest.raises(ValueError, match=r"guide_stride: expected the stride of a feature .*\(4, 8, 8, 16\), got 2"):
        level_of_stride(LEVELS, 2)
