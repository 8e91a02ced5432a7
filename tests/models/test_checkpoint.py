import json
import os
import stat
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from offstride.data.catalog import CAMVID, ClassSet
from offstride.models import Segmenter, create_model
from offstride.models.checkpoint import FORMAT_VERSION


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model(
        backbone="test_efficientnet",
        classes=CAMVID,
        head="aspp",
        upsampler="lau",
        auxiliary="blocks.2",
        mean=[0.1, 0.2, 0.3],
    ).eval()


@pytest.fixture
def path(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


def header(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["offstride"])


def rewrite(path, *, tensors=None, **changes):
    """The same file with other tensors or another header."""
    metadata = {"offstride": json.dumps({**header(path), **changes})}
    save_file(load_file(path) if tensors is None else tensors, path, metadata=metadata)


def test_a_model_comes_back_as_it_was(model, path):
    loaded = Segmenter.load(path)
    assert loaded.config == model.config
    assert loaded.classes == CAMVID
    assert not loaded.training
    images = torch.randn(1, 3, 30, 41)
    torch.testing.assert_close(loaded(images), model(images), rtol=0, atol=0)
    decoded = loaded.decode(images).auxiliary["blocks_2"].dense()
    torch.testing.assert_close(decoded, model.decode(images).auxiliary["blocks_2"].dense(), rtol=0, atol=0)


def test_a_model_without_names_comes_back(tmp_path):
    create_model(backbone="test_resnet", classes=3).save(tmp_path / "m.safetensors")
    loaded = Segmenter.load(tmp_path / "m.safetensors", classes=ClassSet(("a", "b", "c")))
    assert loaded.classes is None
    with pytest.raises(ValueError, match=r"m\.safetensors: classes: expected 2, the model has 3"):
        Segmenter.load(tmp_path / "m.safetensors", classes=ClassSet(("a", "b")))


def test_tied_and_strided_tensors_are_written(model, tmp_path):
    tied = create_model(model.config)
    tied.head.branches[2][0].weight = tied.head.branches[1][0].weight
    tied.classifier.weight = torch.nn.Parameter(torch.randn(256, 11, 1, 1).transpose(0, 1))
    tied.save(tmp_path / "m.safetensors")
    loaded = Segmenter.load(tmp_path / "m.safetensors")
    torch.testing.assert_close(loaded.state_dict(), tied.state_dict())


def test_training_at_16_serves_at_8(model, path):
    finer = Segmenter.load(path, output_stride=8)
    assert finer.config == replace(model.config, output_stride=8)
    assert [branch[0].dilation for branch in finer.head.branches[1:]] == [(12, 12), (24, 24), (36, 36)]
    torch.testing.assert_close(finer.state_dict(), model.state_dict())
    assert finer.field(torch.zeros(1, 3, 32, 32)).values.shape[2:] == (4, 4)


def test_metadata_is_plain_json(model, path):
    assert header(path)["format_version"] == FORMAT_VERSION
    assert header(path)["config"] == model.config.to_dict()
    assert ClassSet.from_dict(header(path)["classes"]) == CAMVID


def test_saving_again_replaces_the_file(model, path):
    other = create_model(model.config)
    other.save(path)
    torch.testing.assert_close(Segmenter.load(path).state_dict(), other.state_dict())
    assert os.listdir(path.parent) == [path.name]


def test_a_failed_write_keeps_the_old_file(model, path, monkeypatch):
    before = path.read_bytes()

    def full(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match=r"model\.safetensors: cannot be written \(no space left"):
        create_model(model.config).save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_the_file_has_the_usual_permissions(path):
    plain = path.with_name("plain")
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_missing_folders_are_made(model, tmp_path):
    model.save(tmp_path / "new" / "m.safetensors")
    assert os.listdir(tmp_path / "new") == ["m.safetensors"]


def test_a_place_that_cannot_be_written_is_named(model, path):
    with pytest.raises(ValueError, match=r"nowhere/m\.safetensors: cannot be written"):
        model.save(path / "nowhere" / "m.safetensors")


def test_the_classes_can_be_checked(path):
    assert Segmenter.load(path, classes=CAMVID).classes == CAMVID
    others = ClassSet(CAMVID.names[::-1])
    with pytest.raises(ValueError, match=r"classes: expected Bicyclist, .*; the model has Sky, Building"):
        Segmenter.load(path, classes=others)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"\xff" * 64])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "m.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint .*m\.safetensors: expected a safetensors file"):
        Segmenter.load(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a safetensors file"):
        Segmenter.load(tmp_path)


def test_a_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors: expected a safetensors file"):
        Segmenter.load(path)


def test_weights_without_a_model_are_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "w.safetensors", metadata={"mean": "0.5"})
    with pytest.raises(ValueError, match=r"w\.safetensors: holds tensors but no model of Offstride"):
        Segmenter.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format_version": "one"}'])
def test_a_damaged_header_is_refused(path, text):
    save_file(load_file(path), path, metadata={"offstride": text})
    with pytest.raises(ValueError, match=r"checkpoint .*model\.safetensors: "):
        Segmenter.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format_version": FORMAT_VERSION + 1, "written_by": "offstride 9"},
            r"format version 2 \(offstride 9\).*update",
        ),
        ({"config": {"backbone": "test_resnet", "classes": 11, "attention": "flash"}}, "unknown attention; known are"),
        ({"config": {"backbone": "resnet51", "classes": 11}}, "backbone: expected a timm model, got 'resnet51'"),
        ({"config": None}, "model config: expected names and values, got None"),
        ({"config": {"backbone": "test_resnet", "classes": 3}}, "classes: expected 3 as in the configuration, got 11"),
        ({"config": {"backbone": "test_resnet", "classes": 11}}, r"\d+ missing \(.*unexpected \("),
        ({"classes": {"classes": []}}, "classes: expected a list of names"),
    ],
)
def test_what_is_wrong_in_the_header_is_named(path, changes, message):
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=rf"checkpoint .*model\.safetensors: .*{message}"):
        Segmenter.load(path)


def test_tensors_that_do_not_fit_are_named(path):
    tensors = load_file(path)
    del tensors["classifier.bias"]
    tensors["classifier.weight"] = tensors["classifier.weight"][:5].clone()
    tensors["clasifier.bias"] = torch.zeros(11)
    rewrite(path, tensors=tensors)
    message = (
        r"the weights do not fit the model: 1 missing \(classifier\.bias\); 1 unexpected \(clasifier\.bias\); "
        r"1 of another shape \(classifier\.weight \(5, 256, 1, 1\) instead of \(11, 256, 1, 1\)\)"
    )
    with pytest.raises(ValueError, match=message):
        Segmenter.load(path)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_in_the_file_is_run(tmp_path):
    torch.save({"model": Trap(tmp_path / "sprung")}, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="expected a safetensors file"):
        Segmenter.load(tmp_path / "m.safetensors")
    assert not (tmp_path / "sprung").exists()
