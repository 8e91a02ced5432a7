"""Every head learns two street scenes by heart, through bilinear upsampling."""

import pytest
import torch
from torch import nn

from offstride.data import STREETS, Streets
from offstride.features import FeatureInfo
from offstride.field import BilinearField, confusion, cross_entropy
from offstride.heads import (
    ASPPHead,
    DeepLabv3PlusHead,
    DenseASPPHead,
    DUpsamplingDecoder,
    EncNetHead,
    FCNHead,
    LinearHead,
    PSPHead,
)
from offstride.layers import convolution
from offstride.losses import scene_loss
from offstride.metrics import SegmentationScores

pytestmark = pytest.mark.slow

SIZE, CLASSES, STEPS = (48, 64), 9, 130

HEADS = {
    "linear": (LinearHead, {}),
    "fcn": (FCNHead, {"channels": 64, "dropout": 0}),
    "aspp": (ASPPHead, {"rates": (2, 4), "channels": 24, "dropout": 0}),
    "deeplabv3plus": (
        DeepLabv3PlusHead,
        {"low_level": "fine", "rates": (2,), "channels": 20, "low_channels": 12, "dropout": 0},
    ),
    "encnet": (EncNetHead, {"classes": CLASSES, "channels": 24, "codewords": 8, "dropout": 0, "lateral": True}),
    "psp": (PSPHead, {"channels": 48, "dropout": 0}),
    "denseaspp": (DenseASPPHead, {"rates": (1, 2, 4), "inner": 48, "channels": 32, "dropout": 0}),
    "dupsampling_decoder": (
        DUpsamplingDecoder,
        {"low_level": ("middle", "fine"), "rates": (2,), "channels": 24, "low_channels": 16, "dropout": 0},
    ),
}


class Trunk(nn.Module):
    """Features of stride 1 and 2: at stride 8 not even the best scores, found for each image on its own, get the posts
    and people of small pictures beyond an mIoU of 0.8.
    """

    features = (
        FeatureInfo(16, 1, "fine"),
        FeatureInfo(48, 2, "early"),
        FeatureInfo(48, 2, "middle"),
        FeatureInfo(64, 2, "last"),
    )

    def __init__(self):
        super().__init__()
        self.fine = convolution(3, 16, 3)
        self.early = nn.Sequential(nn.Conv2d(16, 48, 4, 2, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.middle = convolution(48, 48, 3)
        self.last = convolution(48, 64, 3, 2)

    def forward(self, images):
        fine = self.fine(images)
        early = self.early(fine)
        middle = self.middle(early)
        return [fine, early, middle, self.last(middle)]


def make_scenes():
    """Two scenes, twice as large as drawn, so that a cell of the coarse grid never holds two classes."""
    scenes = Streets(2, (SIZE[0] // 2, SIZE[1] // 2), seed=3)
    images = torch.stack([scenes[i].image for i in range(2)]) / 128 - 1
    labels = torch.stack([scenes[i].label for i in range(2)])
    return (each.repeat_interleave(2, -1).repeat_interleave(2, -2) for each in (images, labels))


@pytest.mark.parametrize("name", HEADS)
def test_learns_by_heart(name):
    kind, options = HEADS[name]
    trunk, (images, labels) = Trunk(), make_scenes()
    head = kind(trunk.features, **options)
    classifier = nn.Conv2d(head.out_channels, CLASSES, 1)
    model = nn.ModuleList([trunk, head, classifier])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS, pct_start=0.1)
    rare = torch.tensor([4.0 if name in ("person", "pole", "sign") else 1.0 for name in STREETS.names])
    for _ in range(STEPS):
        decoded = head.decode(trunk(images))
        loss = cross_entropy(BilinearField(classifier(decoded.map), SIZE), labels, weight=rare)
        if decoded.scene is not None:
            loss = loss + 0.2 * scene_loss(decoded.scene, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        decoded = head.decode(trunk(images))
    scores = SegmentationScores.from_matrix(confusion(BilinearField(classifier(decoded.map), SIZE), labels))
    assert scores.miou > 0.95
