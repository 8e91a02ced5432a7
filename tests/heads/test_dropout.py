"""Every head drops as much as it is told, in training only."""

import pytest
import torch

from offstride.features import FeatureInfo
from offstride.heads import DenseASPPHead
from offstride.models.parts import HEADS

FEATURES = [FeatureInfo(6, 4, "fine"), FeatureInfo(8, 8, "middle"), FeatureInfo(12, 16, "last")]


@pytest.mark.parametrize("name", HEADS)
def test_dropout_is_as_asked(name):
    maps = [torch.randn(2, info.channels, 64 // info.stride, 48 // info.stride) for info in FEATURES]
    known = {"classes": 3} if name == "encnet" else {}

    def twice(dropout, training):
        head = HEADS[name](FEATURES, **known, dropout=dropout).train(training)
        return torch.equal(head(maps), head(maps))

    assert not twice(0.5, True)
    assert twice(0.0, True)
    assert twice(0.5, False)


def test_the_result_of_denseaspp_drops_whole_channels():
    head = DenseASPPHead(FEATURES, rates=(1,), channels=4, transition=False, dropout=0.5).train()
    dropped = (head([torch.ones(400, 12, 3, 3)])[:, :12] == 0).flatten(2)  # the feature, which no step drops from
    assert torch.equal(dropped.all(2), dropped.any(2))
    assert 0.45 < dropped.float().mean() < 0.55
