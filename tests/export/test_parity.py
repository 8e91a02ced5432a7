"""Every registered upsampler in every runtime: the scores and labels of PyTorch, at sizes that were not exported."""

from functools import cache

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from small_models import small_model

from offstride.export import export_program, load_exported, write_onnx, write_program
from offstride.field import argmax
from offstride.models.parts import UPSAMPLERS

pytestmark = pytest.mark.slow

NAMES = sorted(UPSAMPLERS)
SIZES = [(1, 48, 64), (2, 37, 51)]  # images, height, width: those that divide by the stride, and odd ones


@cache
def exported(upsampler):
    """One graph for both formats, and for all tests of an upsampler."""
    model = small_model(upsampler)
    return model, export_program(model, size=(64, 64), dynamic="all", output="scores")


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")

    @cache
    def write(upsampler):
        path = folder / f"{upsampler}.onnx"
        write_onnx(exported(upsampler)[1], path)
        return path

    return write


def expected(upsampler, shape):
    """Images, and what the model makes of them."""
    model, _ = exported(upsampler)
    B, H, W = shape
    images = torch.randn(B, 3, H, W)
    with torch.no_grad():
        field = model.field(images)
        return images, field.dense().numpy(), argmax(field).numpy()


def check(actual, scores, labels):
    assert actual.shape == scores.shape
    spread = np.ptp(scores)
    assert spread > 0.1  # something to compare
    assert len(np.unique(labels)) > 1
    assert np.abs(actual - scores).max() < 1e-5 * max(spread, 1)
    assert (actual.argmax(1) == labels).mean() > 0.999


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("upsampler", NAMES)
def test_onnx_runtime(upsampler, shape, onnx_file):
    session = onnxruntime.InferenceSession(str(onnx_file(upsampler)), providers=["CPUExecutionProvider"])
    images, scores, labels = expected(upsampler, shape)
    (actual,) = session.run(["scores"], {"images": images.numpy()})
    check(actual, scores, labels)


@pytest.mark.parametrize("upsampler", NAMES)
def test_openvino(upsampler, onnx_file):
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1"}
    compiled = openvino.Core().compile_model(str(onnx_file(upsampler)), "CPU", options)
    for shape in SIZES:
        images, scores, labels = expected(upsampler, shape)
        check(compiled(images.numpy())[0], scores, labels)


@pytest.mark.parametrize("upsampler", NAMES)
def test_torch_export(upsampler, tmp_path):
    path = tmp_path / "model.pt2"
    write_program(exported(upsampler)[1], path)
    model = load_exported(path)
    for shape in SIZES:
        images, scores, labels = expected(upsampler, shape)
        check(model.field(images).dense().numpy(), scores, labels)


@pytest.mark.parametrize("upsampler", NAMES)
def test_operators_are_standard(upsampler, onnx_file):
    proto = onnx.load(onnx_file(upsampler))
    onnx.checker.check_model(proto, full_check=True)
    assert {entry.domain for entry in proto.opset_import} == {""}
    assert {node.domain for node in proto.graph.node} <= {"", "ai.onnx"}
    assert not proto.functions
    targets = {node.target for node in exported(upsampler)[1].program.graph.nodes if node.op == "call_function"}
    spaces = {target.namespace for target in targets if isinstance(target, torch._ops.OpOverload)}
    assert spaces == {"aten"}


def test_a_runtime_finds_names_for_open_axes(onnx_file):
    session = onnxruntime.InferenceSession(str(onnx_file("lau")), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert session.get_outputs()[0].shape == ["batch", 5, "height", "width"]
