from functools import cache

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride.data.catalog import CAMVID
from offstride.field import argmax
from offstride.models import Decoded, Segmenter, create_model


@cache
def model_of(head, upsampler, origin="center"):
    torch.manual_seed(0)
    fields = {"backbone": "test_resnet", "classes": 4, "output_stride": 8, "auxiliary": "layer3"}
    return create_model(head=head, upsampler=upsampler, upsampler_options={"origin": origin}, **fields).eval()


def test_scores_are_classified_features_enlarged():
    model = model_of("aspp", "bilinear")
    images = torch.randn(2, 3, 41, 50)
    coarse = model.classifier(model.head(model.backbone(images)))
    assert coarse.shape[2:] == (6, 7)
    expected = F.interpolate(coarse, size=(41, 50), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("origin", ["center", "aligned"])
def test_the_auxiliary_head_is_enlarged_bilinearly(origin):
    model = model_of("fcn", "lau", origin)
    images = torch.randn(2, 3, 41, 50)
    features = model.backbone(images)
    head = model.auxiliary["layer3"]
    coarse = head.classifier(head.head.convolution(features[3]))
    expected = F.interpolate(coarse, size=(41, 50), mode="bilinear", align_corners=origin == "aligned")
    torch.testing.assert_close(model.decode(images).auxiliary["layer3"].dense(), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
@pytest.mark.parametrize("kind", [("fcn", "bilinear"), ("aspp", "lau")])
def test_any_image_size_is_answered_at_that_size(kind, height, width):
    with torch.no_grad():
        scores = model_of(*kind)(torch.zeros(1, 3, height, width))
    assert scores.shape == (1, 4, height, width)
    assert scores.isfinite().all()


@pytest.mark.parametrize("kind", [("fcn", "bilinear"), ("aspp", "lau")])
@pytest.mark.parametrize("training", [False, True])
def test_forward_field_and_decode_agree_in_any_mode(kind, training):
    model = model_of(*kind)
    images = torch.randn(2, 3, 32, 40)
    try:
        model.train(training)
        torch.manual_seed(1)
        decoded = model.decode(images)
        torch.manual_seed(1)
        scores = model(images)
        torch.manual_seed(1)
        field = model.field(images)
    finally:
        model.eval()
    assert isinstance(decoded, Decoded)
    assert isinstance(scores, torch.Tensor)
    torch.testing.assert_close(decoded.main.dense(), scores)
    torch.testing.assert_close(field.dense(), scores)
    assert decoded.auxiliary["layer3"].shape == scores.shape
    assert (decoded.scene, decoded.gates) == (None, [])


def test_nothing_is_remembered_between_calls():
    model = model_of("aspp", "lau")
    images = torch.randn(1, 3, 24, 24)
    with torch.no_grad():
        before = model(images)
        model.decode(torch.randn(2, 3, 40, 17))
        torch.testing.assert_close(model(images), before, rtol=0, atol=0)


def test_prediction_does_not_pay_for_auxiliary_heads():
    model = model_of("fcn", "lau")
    calls = []
    handle = model.auxiliary["layer3"].register_forward_hook(lambda *_: calls.append(1))
    model(torch.zeros(1, 3, 16, 16))
    argmax(model.field(torch.zeros(1, 3, 16, 16)))
    assert not calls
    model.decode(torch.zeros(1, 3, 16, 16))
    handle.remove()
    assert calls


def test_every_parameter_learns():
    model = model_of("aspp", "lau").train()
    decoded = model.decode(torch.randn(2, 3, 40, 40))
    loss = decoded.main.dense().square().mean() + decoded.auxiliary["layer3"].dense().square().mean()
    loss.backward()
    model.eval()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    model.zero_grad()


@pytest.mark.parametrize("upsampler", ["bilinear", "lau"])
def test_forward_compiles_without_graph_breaks(upsampler):
    model = model_of("aspp", upsampler)
    images = torch.randn(1, 3, 33, 40)
    torch.compiler.reset()
    with torch.no_grad():
        compiled = torch.compile(model, backend="eager", fullgraph=True, dynamic=False)(images)
        torch.testing.assert_close(compiled, model(images))


def test_images_are_checked():
    with pytest.raises(ValueError, match="images: expected floating-point"):
        model_of("fcn", "lau")(torch.zeros(3, 16, 16))


def test_names_must_fit_the_number_of_classes():
    model = model_of("fcn", "bilinear")
    parts = (model.backbone, model.head, model.classifier, model.upsampler, {}, model.config)
    with pytest.raises(ValueError, match="classes: expected 4 as in the configuration, got 11"):
        Segmenter(*parts, CAMVID)
