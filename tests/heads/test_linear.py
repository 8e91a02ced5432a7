import torch

from offstride.features import FeatureInfo
from offstride.heads import LinearHead

FEATURES = [FeatureInfo(3, 4, "first"), FeatureInfo(64, 16, "last")]


def test_is_the_last_feature():
    head = LinearHead(FEATURES)
    last = torch.randn(2, 64, 3, 5)
    assert head([torch.randn(2, 3, 12, 20), last]).equal(last)
    assert (head.out_channels, head.out_stride) == (64, 16)
    assert not list(head.parameters())


def test_dropout_acts_in_training_only():
    head, last = LinearHead(FEATURES, dropout=0.5), torch.ones(2, 64, 8, 8)
    assert head.eval()([last]).equal(last)
    assert 0.4 < (head.train()([last]) == 0).float().mean() < 0.6
