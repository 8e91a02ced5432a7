"""Whole images through any callable."""

import pytest
import torch
import torch.nn.functional as F

from offstride.field import BilinearField, NearestField
from offstride.inference import predict_whole


def test_fields_pass_through():
    images = torch.randn(2, 3, 9, 13)
    field = NearestField(torch.randn(2, 4, 3, 4), (9, 13))
    assert predict_whole(lambda _: field, images) is field


def test_coarse_scores_are_upsampled_bilinearly():
    images, scores = torch.randn(2, 3, 9, 13), torch.randn(2, 4, 3, 4)
    field = predict_whole(lambda _: scores, images)
    assert isinstance(field, BilinearField)
    torch.testing.assert_close(field.dense(), F.interpolate(scores, (9, 13), mode="bilinear"))


def test_dense_scores_stay_as_they_are():
    images, scores = torch.randn(2, 3, 9, 13), torch.randn(2, 4, 9, 13)
    assert torch.equal(predict_whole(lambda _: scores, images).dense(), scores)


def test_no_gradient_is_recorded():
    layer = torch.nn.Conv2d(3, 4, 1)
    assert not predict_whole(layer, torch.randn(1, 3, 5, 5)).dense().requires_grad


@pytest.mark.parametrize(
    "output", [None, torch.randn(4, 9, 13), {"out": 1}, BilinearField(torch.randn(1, 4, 3, 4), (5, 5))]
)
def test_anything_else_is_refused(output):
    with pytest.raises(ValueError, match="predict"):
        predict_whole(lambda _: output, torch.randn(1, 3, 9, 13))
