"""What files take, give and say about themselves; what is refused."""

import json
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_models import small_model

from offstride.data.catalog import CAMVID, STREETS
from offstride.export import ExportInfo, export_onnx, export_torch, load_exported, shortest_side
from offstride.field import argmax
from offstride.models import create_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model():
    result = small_model("bilinear", classes=len(CAMVID))
    result.classes = CAMVID
    return result


@pytest.fixture(scope="module")
def labels_file(model, tmp_path_factory):
    """Fixed size, pixels in, labels out."""
    path = tmp_path_factory.mktemp("labels") / "model.onnx"
    export_onnx(model, path, size=(32, 41), input="image")
    return path


def normalised(model, pixels):
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.mean, model.std))
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std


def test_pixels_to_labels(model, labels_file):
    session = onnxruntime.InferenceSession(str(labels_file), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 41, 3), np.uint8)
    (labels,) = session.run(["labels"], {"images": pixels})
    assert labels.dtype == np.uint8
    assert len(np.unique(labels)) > 1
    expected = argmax(model.field(normalised(model, pixels))).numpy()
    assert (labels == expected).mean() > 0.999
    read = load_exported(labels_file)
    assert np.array_equal(argmax(read.field(normalised(model, pixels))).numpy(), labels)


def test_the_description_comes_back(model, labels_file, tmp_path):
    metadata = {entry.key: entry.value for entry in onnx.load(labels_file).metadata_props}
    described = json.loads(metadata["offstride"])
    assert described["mean"] == [0.4, 0.5, 0.6]
    assert described["std"] == list(model.std) != described["mean"]
    assert described["origin"] == "center"
    assert described["output_stride"] == 8
    assert described["ignore_index"] == 255
    assert [row["name"] for row in described["classes"]["classes"]] == list(CAMVID.names)
    assert [tuple(row["color"]) for row in described["classes"]["classes"]] == list(CAMVID.palette)
    info = export_torch(model, tmp_path / "m.pt2", size=(32, 41), input="image")
    for path in (labels_file, tmp_path / "m.pt2"):
        assert load_exported(path).info == info
    assert (info.size, info.batch, info.input, info.output) == ((32, 41), 1, "image", "labels")


def test_the_description_names_the_pixel_convention():
    config = replace(small_model("bilinear", classes=3).config, upsampler_options={"origin": "corner"})
    described = json.loads(ExportInfo(config, None, "image", "scores", None, 64, 1).to_json())
    assert described["origin"] == "corner"
    assert [described[name] for name in ("input", "output", "size", "least", "batch")] == [
        "image",
        "scores",
        None,
        64,
        1,
    ]


def test_nothing_of_this_machine_is_in_a_file(labels_file, tmp_path, model):
    export_torch(model, tmp_path / "m.pt2", size=(32, 32))
    for path in (labels_file, tmp_path / "m.pt2"):
        content = path.read_bytes()
        assert b".py" not in content
        assert b"stack_trace" not in content


def test_batches_alone_can_be_open(model, tmp_path):
    info = export_onnx(model, tmp_path / "m.onnx", size=(32, 33), dynamic="batch", output="scores", input="image-nchw")
    assert (info.size, info.batch) == ((32, 33), None)
    images = normalised(model, np.random.default_rng(0).integers(0, 256, (3, 32, 33, 3), np.uint8))
    with torch.no_grad():
        torch.testing.assert_close(load_exported(tmp_path / "m.onnx").field(images).dense(), model(images))


def test_files_for_one_image_take_several_in_turn(model, labels_file):
    images = torch.randn(3, 3, 32, 41)
    read = load_exported(labels_file)
    together = argmax(read.field(images))
    assert torch.equal(together[1:2], argmax(read.field(images[1:2])))


def test_sizes_that_a_file_cannot_take(model, labels_file):
    with pytest.raises(ValueError, match=r"takes 32×41 pixels only, got 32×40; .*--sliding 32 41"):
        load_exported(labels_file).field(torch.zeros(1, 3, 32, 40))


def test_labels_cannot_be_averaged(labels_file):
    with pytest.raises(ValueError, match="--scores"):
        load_exported(labels_file).field(torch.zeros(1, 3, 32, 41)).dense()


@pytest.mark.parametrize(
    "options", [{"origin": "corner", "groups": 5, "scale": 3}, {"origin": "aligned", "scale": 4, "rest": "offsets"}]
)
def test_kinds_of_lau(options, tmp_path):
    model = small_model("lau", **options)
    export_torch(model, tmp_path / "m.pt2", dynamic="all", output="scores", size=(40, 40))
    read = load_exported(tmp_path / "m.pt2")
    least = shortest_side(model)
    for size in ((least, least + 3), (64, 64), (57, 80)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(read.field(images).dense(), model(images), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("scale", [1, 4, 5, 7, 8, 9])
def test_from_the_shortest_side_on_all_images_are_of_one_kind(scale):
    least = shortest_side(small_model("lau", scale=scale))
    reached = [scale * -(-side // 8) >= side for side in range(200)]
    assert set(reached[least:]) == {scale >= 8}
    assert least == 16 or reached[least - 1]


def test_images_that_are_too_small_are_refused(tmp_path, model):
    export_onnx(model, tmp_path / "m.onnx", size=(32, 32), dynamic="all")
    assert load_exported(tmp_path / "m.onnx").field(torch.zeros(2, 3, 16, 18)).label_map().shape == (2, 16, 18)
    with pytest.raises(ValueError, match="at least 16×16 pixels, got 15×40"):
        load_exported(tmp_path / "m.onnx").field(torch.zeros(1, 3, 15, 40))


def test_networks_that_pad_take_any_size(tmp_path):
    torch.manual_seed(0)
    model = create_model(backbone="test_convnext", classes=3, output_stride=32).eval()
    export_torch(model, tmp_path / "m.pt2", dynamic="all", output="scores")
    read = load_exported(tmp_path / "m.pt2")
    for size in ((64, 96), (65, 127)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(read.field(images).dense(), model(images), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("opset", [18, 21])
def test_opsets(opset, model, tmp_path):
    export_onnx(model, tmp_path / "m.onnx", size=(32, 32), opset=opset)
    assert [(entry.domain, entry.version) for entry in onnx.load(tmp_path / "m.onnx").opset_import] == [("", opset)]
    assert load_exported(tmp_path / "m.onnx").field(torch.zeros(1, 3, 32, 32)).label_map().shape == (1, 32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 17}, "opset: expected 18 to"),
        ({"opset": 999}, "opset: expected 18 to"),
        ({"size": (0, 32)}, "size: expected"),
        ({"dynamic": "most"}, "dynamic: expected one of all, batch, none"),
        ({"input": "jpeg"}, "input: expected one of normalised"),
        ({"output": "logits"}, "output: expected one of labels, scores"),
    ],
)
def test_bad_arguments_are_named(model, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_onnx(model, tmp_path / "m.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written"):
        export_torch(model, tmp_path / "file" / "m.pt2", size=(32, 32))


@pytest.mark.parametrize("name", ["m.onnx", "m.pt2"])
@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 something else", b"\xff" * 100])
def test_other_files_are_refused(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"model .*{name}: "):
        load_exported(tmp_path / name)


def test_strangers_are_refused(tmp_path, labels_file):
    proto = onnx.load(labels_file)
    proto.ClearField("metadata_props")
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"m\.onnx: mean, std: expected, since Offstride did not write"):
        load_exported(tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"expected a file named \.onnx or \.pt2"):
        load_exported(tmp_path / "m.tflite")


def test_later_descriptions_are_refused(model):
    text = ExportInfo(model.config, model.classes, "image", "labels", (8, 8), 1, 1).to_json()
    with pytest.raises(ValueError, match=r"format version 2 .*update offstride"):
        ExportInfo.from_json(text.replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(ValueError, match="does not fit together"):
        ExportInfo.from_json('{"format_version": 1}')
    assert ExportInfo.from_json(text).classes == CAMVID


@pytest.mark.parametrize(("package", "call"), [("onnx", "write"), ("onnxscript", "write"), ("onnxruntime", "read")])
def test_missing_packages_are_named(package, call, model, labels_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"{package} is not installed.*offstride\[export\]"):
        export_onnx(model, tmp_path / "m.onnx") if call == "write" else load_exported(labels_file)


def test_classes_without_names(tmp_path):
    config = small_model("bilinear").config
    info = ExportInfo.from_json(ExportInfo(config, None, "image", "labels", None, 16, None).to_json())
    assert info.classes is None
    assert info.config.classes == 5
    assert len(STREETS) != 5
