"""ONNX files that others wrote: images in, class scores of any stride out."""

import json

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from offstride import open_model
from offstride.cli.main import main

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
GIVEN = {"classes": ["ground", "thing", "sky"], "mean": MEAN, "std": STD}


class Plain(nn.Module):
    """Scores at stride 8, or at full resolution."""

    def __init__(self, fine=False, classes=3):
        super().__init__()
        self.fine, self.layer = fine, nn.Conv2d(3, classes, 8, 8)

    def forward(self, pictures):
        scores = self.layer(pictures)
        return F.interpolate(scores, pictures.shape[2:], mode="bilinear") if self.fine else scores


def write(path, model, *, size=(64, 96), dynamic=False, batch=1):
    torch.manual_seed(0)
    shapes = {"pictures": {2: torch.export.Dim("H") * 8, 3: torch.export.Dim("W") * 8}} if dynamic else None
    program = torch.onnx.export(model.eval(), (torch.rand(batch, 3, *size),), dynamic_shapes=shapes, verbose=False)
    program.save(str(path))
    return path


@pytest.mark.parametrize("fine", [False, True])
def test_it_predicts_as_the_network_does(tmp_path, fine):
    network = Plain(fine)
    model = open_model(write(tmp_path / "m.onnx", network), **GIVEN)
    assert (model.config.classes, model.config.output_stride) == (3, 1 if fine else 8)
    assert (model.mean, model.classes.names) == (MEAN, ("ground", "thing", "sky"))
    images = torch.rand(2, 3, 64, 96)
    expected = F.interpolate(network(images), (64, 96), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model.field(images).dense(), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="this file takes 64×96 pixels only, got 64×64"):
        model.field(torch.rand(1, 3, 64, 64))


def test_open_sizes(tmp_path):
    network = Plain()
    model = open_model(write(tmp_path / "m.onnx", network, dynamic=True), **GIVEN)
    images = torch.rand(1, 3, 120, 40)
    expected = F.interpolate(network(images), (120, 40), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model.field(images).dense(), expected, rtol=1e-4, atol=1e-4)


def test_what_is_missing_or_wrong_is_named(tmp_path):
    path = write(tmp_path / "m.onnx", Plain())
    with pytest.raises(ValueError, match=r"m\.onnx: mean, std: expected, since Offstride did not write this file"):
        open_model(path)
    with pytest.raises(ValueError, match="expected 2, the model has 3"):
        open_model(path, **{**GIVEN, "classes": ["a", "b"]})
    pooled = nn.Sequential(Plain(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    program = torch.onnx.export(pooled.eval(), (torch.rand(1, 3, 64, 64),), verbose=False)
    program.save(str(tmp_path / "classifier.onnx"))
    with pytest.raises(ValueError, match=r"classifier\.onnx: expected \(B, C, h, w\) float32 scores first, got"):
        open_model(tmp_path / "classifier.onnx", **GIVEN)
    grey = nn.Conv2d(1, 3, 8, 8)
    torch.onnx.export(grey.eval(), (torch.rand(1, 1, 64, 64),), verbose=False).save(str(tmp_path / "grey.onnx"))
    with pytest.raises(ValueError, match=r"expected one input of \(B, 3, H, W\) float32 images, got"):
        open_model(tmp_path / "grey.onnx", **GIVEN)


def test_commands_take_it(tmp_path, capsys):
    path = write(tmp_path / "m.onnx", Plain())
    for split, name in (("images", "a.jpg"), ("labels", "a.png")):
        (tmp_path / "data" / split / "val").mkdir(parents=True)
        Image.new("RGB" if split == "images" else "L", (96, 64)).save(tmp_path / "data" / split / "val" / name)
    (tmp_path / "data" / "classes.json").write_text(json.dumps({"classes": GIVEN["classes"]}))
    given = ["--classes", ",".join(GIVEN["classes"]), "--mean", *map(str, MEAN), "--std", *map(str, STD)]
    photo, out = tmp_path / "data" / "images" / "val" / "a.jpg", tmp_path / "out"
    assert main(["predict", str(path), str(photo), f"--output={out}", *given]) == 0
    assert list(out.rglob("a*.png"))
    scores = tmp_path / "scores.json"
    assert main(["evaluate", str(path), f"--root={tmp_path / 'data'}", "--split=val", f"--json={scores}", *given]) == 0
    assert json.loads(scores.read_text())["images"] == 1
    assert main(["predict", str(path), str(photo), f"--output={out}"]) == 2
    assert "--mean R G B --std R G B" in capsys.readouterr().err
