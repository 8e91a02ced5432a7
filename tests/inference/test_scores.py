"""Models of other libraries."""

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from offstride.field import DenseField
from offstride.inference import predict_averaged, predict_whole, scores_of


def test_torchvision():
    model = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4).eval()
    image = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        expected = model(image)["out"]
    assert torch.equal(predict_whole(model, image).dense(), expected)
    field = predict_averaged(model, image, flip=True, window=(48, 48))
    assert field.shape == (1, 4, 48, 64)


class ModelOutput(OrderedDict):
    """Output of a transformers model: a mapping whose entries are attributes, too."""

    logits = property(lambda self: self["logits"])


@pytest.mark.parametrize("wrap", [lambda x: SimpleNamespace(logits=x), lambda x: ModelOutput(loss=None, logits=x)])
def test_transformers(wrap):
    coarse = nn.Conv2d(3, 4, 3, stride=4, padding=1)
    image = torch.randn(1, 3, 30, 41)
    expected = F.interpolate(coarse(image), (30, 41), mode="bilinear")
    torch.testing.assert_close(predict_whole(lambda images: wrap(coarse(images)), image).dense(), expected.detach())


def test_what_holds_no_scores_is_left_to_the_caller():
    tensor = torch.randn(1, 2, 3, 4)
    field = DenseField(tensor)
    assert scores_of(tensor) is tensor
    assert scores_of(field) is field
    assert scores_of({"aux": tensor}) == {"aux": tensor}
    with pytest.raises(ValueError, match=r"predict: expected a field .* got dict"):
        predict_whole(lambda _: {"aux": tensor}, torch.randn(1, 3, 3, 4))
