"""Upsamplers that need a finer map, in models whose backbone has none: they get the folded image."""

from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch

from offstride import Segmenter, create_model
from offstride.export import export_onnx, export_program
from offstride.field import cross_entropy

TINY = {"depth": 3, "embed_dim": 32, "num_heads": 2}
BACKBONES = {
    "test_vit": (16, {}),
    "vit_small_patch16_dinov3": (16, TINY),
    "vit_base_patch32_clip_224": (32, {**TINY, "img_size": 64}),
    "vit_small_patch14_dinov2": (14, {**TINY, "img_size": 56}),
}
UPSAMPLERS = {
    "lau": {"guide_stride": 4, "hidden": 8, "scale": 2},
    "residual": {"channels": 8},
    "sapa": {"embedding": 8, "window": 3},
}


@cache
def model_of(backbone, upsampler):
    torch.manual_seed(0)
    stride, options = BACKBONES[backbone]
    fields = {"backbone_options": options, "output_stride": stride, "head": "linear", "classes": 3}
    model = create_model(
        backbone=backbone, upsampler=upsampler, upsampler_options=UPSAMPLERS[upsampler], **fields
    ).eval()
    with torch.no_grad():
        for parameter in model.upsampler.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_they_see_the_image(backbone, upsampler, tmp_path):
    model = model_of(backbone, upsampler)
    side = BACKBONES[backbone][1].get("img_size", 50)
    images, labels = torch.randn(2, 3, side, side), torch.randint(0, 3, (2, side, side))
    cross_entropy(model.field(images), labels).backward()
    gradients = {name: parameter.grad for name, parameter in model.upsampler.named_parameters()}
    model.zero_grad()
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.isfinite().all()] == []
    assert sum(gradient.abs().sum() for gradient in gradients.values()) > 0
    model.save(tmp_path / "m.safetensors")
    with torch.no_grad():
        assert torch.equal(Segmenter.load(tmp_path / "m.safetensors")(images), model(images))


def test_channels_are_those_of_the_image():
    """12 of stride 2, the nearest fold of patches of 14; 48 of stride 4."""
    assert model_of("vit_small_patch14_dinov2", "residual").upsampler.refine[0].in_channels == 12
    assert model_of("vit_small_patch14_dinov2", "lau").upsampler.guide.factor == 7
    assert model_of("test_vit", "residual").upsampler.refine[0].in_channels == 48
    assert model_of("test_vit", "residual").upsampler.stride == 4


def test_features_of_the_stride_come_first():
    """As before there was an image: parameters of trained models keep their shapes."""
    model = create_model(backbone="test_resnet", classes=2, head="linear", upsampler="residual", output_stride=8)
    channels = [info.channels for info in model.backbone.features if info.stride == 4][-1]
    assert model.upsampler.refine[0].in_channels == channels
    options = {"stride": 1}
    finest = create_model(
        backbone="test_resnet", classes=2, head="linear", upsampler="residual", upsampler_options=options
    )
    assert finest.upsampler.refine[0].in_channels == 3
    assert finest.eval()(torch.randn(1, 3, 33, 47)).shape == (1, 2, 33, 47)


def check_graphs(model, shapes, path, dynamic="all"):
    """Both formats at sizes that were not exported, where they may vary."""
    size = shapes[0][2:]
    export_onnx(model, path, size=size, dynamic=dynamic, output="scores")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    program = export_program(model, size=size, dynamic=dynamic, output="scores").program.module()
    for shape in shapes:
        images = torch.randn(shape)
        with torch.no_grad():
            expected = model(images).numpy()
            np.testing.assert_allclose(program(images).numpy(), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(session.run(None, {"images": images.numpy()})[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_graphs_of_transformers(upsampler, tmp_path):
    """At one size: timm's graphs of transformers are mostly those of the size that they were made with."""
    model = model_of("vit_small_patch16_dinov3", upsampler)
    check_graphs(model, [(1, 3, 71, 53), (2, 3, 71, 53)], tmp_path / "m.onnx", "batch")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("upsampler", "options"), [("lau", {"guide_stride": 1, "hidden": 8}), ("residual", {"stride": 1})]
)
def test_graphs_with_open_sizes(upsampler, options, tmp_path):
    torch.manual_seed(0)
    fields = {"backbone": "test_efficientnet", "head": "linear", "classes": 3, "output_stride": 32}
    model = create_model(upsampler=upsampler, upsampler_options=options, **fields)
    with torch.no_grad():
        for parameter in model.upsampler.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    check_graphs(model.eval(), [(1, 3, 64, 96), (2, 3, 71, 93)], tmp_path / "m.onnx")
