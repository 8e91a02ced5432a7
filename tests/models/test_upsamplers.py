"""Every upsampler inside a model: whatever is registered is tested."""

from functools import cache

import pytest
import torch

from offstride.field import argmax, confidence, cross_entropy
from offstride.models import create_model
from offstride.models.parts import UPSAMPLERS
from offstride.models.segmenter import Segmenter

pytestmark = pytest.mark.slow

OPTIONS = {
    "carafe": {"scale": 2},
    "dysample": {"scale": 4, "dynamic": True},
    "residual": {"upsampler": "lau", "upsampler_options": {"scale": 4}},
    "sapa": {"window": 3},
}
NAMES = sorted(UPSAMPLERS)


@cache
def model_of(upsampler):
    torch.manual_seed(0)
    options = OPTIONS.get(upsampler, {})
    fields = {"backbone": "test_resnet", "classes": 4, "head": "fcn", "upsampler_options": options}
    return create_model(upsampler=upsampler, output_stride=8, **fields).eval()


@pytest.mark.parametrize("size", [(1, 1), (33, 50), (64, 40)])
@pytest.mark.parametrize("upsampler", NAMES)
def test_bands_are_rows_of_the_whole_at_any_size(upsampler, size):
    model = model_of(upsampler)
    with torch.no_grad():
        field = model.field(torch.randn(2, 3, *size))
        whole = field.dense()
        assert whole.shape == (2, 4, *size)
        assert whole.isfinite().all()
        middle = size[0] // 2
        torch.testing.assert_close(field.rows(middle, size[0]), whole[:, :, middle:])
        sure = whole.softmax(1).amax(1)
        torch.testing.assert_close(confidence(field), sure, atol=1e-5, rtol=1e-5)
        agree = argmax(field) == whole.argmax(1)
        assert agree.float().mean() > 0.99


@pytest.mark.parametrize("upsampler", NAMES)
def test_a_step_in_half_precision_teaches_every_parameter(upsampler):
    model = model_of(upsampler).train()
    labels = torch.randint(0, 4, (2, 40, 48))
    labels[:, :4] = 255
    with torch.autocast("cpu", torch.bfloat16):
        field = model.decode(torch.randn(2, 3, 40, 48)).main
    loss = cross_entropy(field, labels)
    assert loss.dtype == torch.float32
    loss.backward()
    lacking = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    infinite = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    model.zero_grad()
    model.eval()
    assert (lacking, infinite) == ([], [])


@pytest.mark.parametrize("upsampler", NAMES)
def test_a_model_comes_back_from_its_file(upsampler, tmp_path):
    model, images = model_of(upsampler), torch.randn(1, 3, 40, 33)
    model.save(tmp_path / "model.safetensors")
    loaded = Segmenter.load(tmp_path / "model.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), model(images), rtol=0, atol=0)


@pytest.mark.parametrize("upsampler", ["carafe", "joint_bilateral", "sapa", "transposed"])  # a kind of field each
def test_the_forward_pass_compiles_without_graph_breaks(upsampler):
    model, images = model_of(upsampler), torch.randn(1, 3, 33, 40)
    torch.compiler.reset()
    with torch.no_grad():
        compiled = torch.compile(model, backend="eager", fullgraph=True, dynamic=False)(images)
        torch.testing.assert_close(compiled, model(images))
