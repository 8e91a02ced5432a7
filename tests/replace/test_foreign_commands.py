"""Every command with models of other libraries by name, through its main."""

import json

import numpy as np
import pytest
import torch
import yaml
from foreign_models import LABELS, MAKERS
from PIL import Image

from offstride import open_model
from offstride.cli.main import main
from offstride.data import FolderDataset, read_image
from offstride.evaluate import evaluate
from offstride.evaluate.decoding import decode_image
from offstride.export import load_exported
from offstride.models import complexity

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning")]
SIZE = (70, 90)
"""No multiple of 32."""


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    return {name: make(tmp_path_factory.mktemp(name))[0] for name, make in MAKERS.items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder data set by the number of its classes."""
    folders = {}
    for classes in (4, 5):
        folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
        for split in ("train", "val"):
            for kind in ("images", "labels"):
                (folder / kind / split).mkdir(parents=True)
            for index in range(2):
                label = random.integers(0, classes, SIZE, np.uint8)
                pixels = np.repeat(label[..., None] * 40, 3, 2)
                Image.fromarray(pixels).save(folder / "images" / split / f"{index}.png")
                Image.fromarray(label).save(folder / "labels" / split / f"{index}.png")
        (folder / "classes.yaml").write_text(yaml.safe_dump({"classes": LABELS[:classes]}))
        folders[classes] = folder
    return folders


def folder_of(name, data):
    return data[4 if name == "smp" else 5]


def said(capsys):
    """What a command that fails says: one line."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("name", MAKERS)
def test_predict(name, references, data, tmp_path):
    """Also a photograph of one channel."""
    image = folder_of(name, data) / "images" / "val" / "0.png"
    grey = tmp_path / "grey.png"
    Image.open(image).convert("L").save(grey)
    assert main(["predict", references[name], str(image), str(grey), f"--output={tmp_path}/out"]) == 0
    for file in (image, grey):
        with Image.open(tmp_path / "out" / file.name) as labels:
            assert np.array_equal(np.array(labels), open_model(references[name]).predict(file).numpy())


def test_given_normalisation_and_classes_are_used(references, data, tmp_path):
    image = data[5] / "images" / "val" / "0.png"
    words = ["--mean", "0.1", "0.2", "0.3", "--std", "0.4", "0.5", "0.6", "--classes=a, b,c,d,e"]
    assert main(["predict", references["transformers"], str(image), f"--output={tmp_path}", *words]) == 0
    given = open_model(references["transformers"], mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    with Image.open(tmp_path / "0.png") as labels:
        assert np.array_equal(np.array(labels), given.predict(image).numpy())
        assert not np.array_equal(np.array(labels), open_model(references["transformers"]).predict(image).numpy())


@pytest.mark.parametrize("name", MAKERS)
def test_evaluate(name, references, data, tmp_path):
    folder = folder_of(name, data)
    where = [f"--root={folder}", "--split=val", f"--json={tmp_path}/scores.json", "--workers=0"]
    assert main(["evaluate", references[name], *where]) == 0
    expected = evaluate(open_model(references[name]), FolderDataset(folder, "val")).to_dict()
    assert json.loads((tmp_path / "scores.json").read_text())["miou"] == expected["miou"]


@pytest.mark.parametrize("name", MAKERS)
def test_visualize(name, references, data, tmp_path):
    image = folder_of(name, data) / "images" / "val" / "0.png"
    assert main(["visualize", references[name], str(image), f"--output={tmp_path}"]) == 0
    assert open_model(references[name]).config.name in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("name", MAKERS)
def test_complexity(name, references, capsys):
    assert main(["complexity", references[name], "--size=[64, 96]", "--seconds=0", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    counted = complexity(open_model(references[name]), (64, 96))
    assert (figures["macs"], figures["parameters"]) == (counted.macs, counted.parameters)
    assert figures["macs"] > 0


def test_compare_takes_them_beside_files_and_exports(references, data, tmp_path):
    model = open_model(references["transformers"])
    model.with_upsampler("lau").save(tmp_path / "lau.safetensors")
    words = ["export", references["transformers"], f"--output={tmp_path}/m.onnx", "--size", *map(str, SIZE)]
    assert main(words) == 0
    entries = [references["transformers"], tmp_path / "lau.safetensors", tmp_path / "m.onnx"]
    named = [f"{name}={entry}" for name, entry in zip("abc", entries, strict=True)]
    where = ["--data=folder", f"--root={data[5]}", f"--output={tmp_path}/compare", "--rounds=1", "--resamples=10"]
    assert main(["compare", "--checkpoints", *named, *where, "--device=cpu"]) == 0
    report = json.loads((tmp_path / "compare" / "report.json").read_text())
    scores = [entry["scores"]["miou"]["mean"] for entry in report["entries"]]
    expected = evaluate(model, FolderDataset(data[5], "val")).to_dict()["miou"]
    assert scores == [pytest.approx(expected, abs=1e-3)] * 3
    costs = [entry["costs"] for entry in report["entries"]]
    assert costs[0]["macs"] == costs[2]["macs"] == complexity(model, SIZE).macs < costs[1]["macs"]
    assert all(cost["devices"]["cpu"]["latency"] > 0 for cost in costs)


@pytest.mark.parametrize("name", MAKERS)
def test_export(name, references, data, tmp_path):
    pixels = np.array(Image.open(folder_of(name, data) / "images" / "val" / "0.png"))
    words = ["--size", *map(str, SIZE), "--input=image", "--scores", f"--output={tmp_path}/m.onnx"]
    assert main(["export", references[name], *words]) == 0
    model, exported = open_model(references[name]), load_exported(tmp_path / "m.onnx")
    assert (exported.config, exported.classes) == (model.config, model.classes)
    images = (torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 - torch.tensor(model.mean)[:, None, None]) / (
        torch.tensor(model.std)[:, None, None]
    )
    with torch.no_grad():
        expected = model(images)
    torch.testing.assert_close(exported.field(images).dense(), expected, rtol=1e-3, atol=1e-3 * expected.abs().max())


@pytest.mark.parametrize("name", MAKERS)
def test_exports_of_any_size(name, references, tmp_path):
    assert main(["export", references[name], "--dynamic", "--scores", f"--output={tmp_path}/m.onnx"]) == 0
    model, exported = open_model(references[name]), load_exported(tmp_path / "m.onnx")
    for size in ((70, 93), (128, 96)):
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = model(images)
        torch.testing.assert_close(
            exported.field(images).dense(), expected, rtol=1e-4, atol=1e-4 * expected.abs().max()
        )


def test_offsets_are_drawn_where_images_were_padded(references, data, tmp_path):
    model = open_model(references["smp"]).with_upsampler("lau")
    torch.nn.init.normal_(model.upsampler.offset_layers()[-1].weight)
    model.save(tmp_path / "m.safetensors")
    pixels = read_image(data[4] / "images" / "val" / "0.png")
    decoding = decode_image(open_model(tmp_path / "m.safetensors"), pixels, None)
    assert decoding.offsets.field.shape == (2, *SIZE)
    plain = decode_image(open_model(references["smp"]), pixels, None)
    assert plain.offsets is None
    assert np.array_equal(decoding.offsets.before, plain.prediction)


@pytest.mark.parametrize("name", MAKERS)
def test_finetune_upsampling(name, references, data, tmp_path, capsys):
    """The upsampler learns, all else stays; the file opens without what it was made from."""
    folder = folder_of(name, data)
    how = ["--data.crop=[64, 64]", "--data.workers=0", "--schedule.steps=3", "--schedule.batch_size=2"]
    words = [f"--data.root={folder}", f"--output={tmp_path}/run", *how, "--schedule.accelerator=cpu"]
    words = ["finetune-upsampling", references[name], *words, "--upsampler-options={hidden: 8}"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "at start   equals the original" in printed.err
    assert "in place of bilinear" in printed.err
    before, after = open_model(references[name]), open_model(tmp_path / "run" / "last.safetensors")
    assert (after.config.upsampler, after.config.upsampler_options["hidden"]) == ("lau", 8)
    assert after.classes.names == FolderDataset(folder, "val").classes.names
    network, own = before.replaced.model.state_dict(), after.replaced.model.state_dict()
    assert all(torch.equal(network[key], own[key]) for key in network)
    assert any(
        parameter.abs().sum() > 0 for layer in after.upsampler.offset_layers() for parameter in layer.parameters()
    )
    assert main([*words, "--resume"]) == 0
    recipe = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert recipe["model"]["reference"] == references[name]
    more = [f"--data.root={folder}", f"--output={tmp_path}/more", *how, "--schedule.accelerator=cpu"]
    assert main(["finetune-upsampling", str(tmp_path / "run" / "last.safetensors"), *more, "--upsampler=residual"]) == 0


def test_recipes_train_them_as_a_whole(references, data, tmp_path):
    data_section = {"name": "folder", "root": str(data[5]), "crop": [64, 64], "workers": 0}
    model = {"reference": references["torchvision"], "upsampler": "lau"}
    schedule = {"steps": 2, "batch_size": 2, "accelerator": "cpu", "freeze_norm": "backbone"}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"data": data_section, "model": model, "schedule": schedule}))
    assert main(["train", str(tmp_path / "r.yaml"), f"--output={tmp_path}/run"]) == 0
    before, after = open_model(references["torchvision"]), open_model(tmp_path / "run" / "last.safetensors")
    moved = {
        before.part_of(f"replaced.{key}")
        for key, value in before.replaced.state_dict().items()
        if not torch.equal(value, after.replaced.state_dict()[key])
    }
    assert moved == {"backbone", "head"}
    assert main(["train", str(tmp_path / "r.yaml"), f"--output={tmp_path}/other", "--model.head=psp"]) == 2
    assert main(["complexity", str(tmp_path / "r.yaml"), "--seconds=0", "--classes=5"]) == 0


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("predict", ["x.png", "--classes=a,b"], "classes: expected 5 as the model has, got 2"),
        ("predict", ["x.png", "--mean", "0", "0", "0"], "mean, std: expected both or neither"),
        ("predict", ["x.png", "--output-stride=8"], "output_stride: fixed in a model of transformers, got 8"),
        ("predict", ["x.png", "--mean", "0", "0", "0", "--std", "0", "1", "1"], "std: expected numbers above 0"),
        ("export", [], "output: expected the file to write for transformers:"),
        (
            "evaluate",
            ["--root={data}", "--split=val", "--classes=a,b,c,d,e"],
            "expected the classes of the model, a, b",
        ),
        (
            "finetune-upsampling",
            ["--data.root={data}", "--output={data}/run", "--classes=a,b,c,d,e"],
            "classes: expected sky, road, pole, car, sign; the model has a, b, c, d, e",
        ),
    ],
)
def test_what_is_wrong_is_one_line(command, words, message, references, data, capsys):
    words = [word.format(data=data[5]) for word in words]
    first = data[5] / "images" / "val" / "0.png"
    words = [str(first) if word == "x.png" else word for word in words]
    assert main([command, references["transformers"], *words]) == 2
    assert message in said(capsys)
    assert not (data[5] / "run").exists()


@pytest.mark.parametrize("command", ["predict", "evaluate", "visualize", "complexity", "export", "finetune-upsampling"])
def test_unknown_references_are_one_line(command, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("offstride.downloads.reachable", lambda *_: False)
    monkeypatch.setattr("offstride.replace.named.torchvision.reachable", lambda *_: False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    image = str(data[5] / "images" / "val" / "0.png")
    more = {
        "predict": [image],
        "visualize": [image],
        "evaluate": [f"--root={data[5]}"],
        "export": [f"--output={tmp_path}/m.onnx"],
        "finetune-upsampling": [f"--data.root={data[5]}", f"--output={tmp_path}/run"],
    }
    for reference, message in {
        "torchvision:fcn_resnet50": "cannot be downloaded (no network?); give a local file",
        "transformers:no/such": "cannot be downloaded (no network?); give a local folder",
        "smp:no/such": "cannot be downloaded (no network?); give a local folder",
        "hub:no/such": "cannot be downloaded (no network?); give a local file or folder",
        "nonsense:model": "a model file (.safetensors)",
    }.items():
        assert main([command, reference, *more.get(command, [])]) == 2
        assert message in said(capsys)


def test_exported_labels_are_scored_and_not_explained(references, data, tmp_path, capsys):
    words = ["--size", *map(str, SIZE), f"--output={tmp_path}/m.onnx"]
    assert main(["export", references["torchvision"], *words]) == 0
    where = [f"--root={data[5]}", "--split=val", f"--json={tmp_path}/scores.json", "--workers=0"]
    assert main(["evaluate", str(tmp_path / "m.onnx"), *where]) == 0
    expected = evaluate(open_model(references["torchvision"]), FolderDataset(data[5], "val")).to_dict()["miou"]
    assert json.loads((tmp_path / "scores.json").read_text())["miou"] == pytest.approx(expected, abs=1e-3)
    capsys.readouterr()
    image = str(data[5] / "images" / "val" / "0.png")
    assert main(["visualize", str(tmp_path / "m.onnx"), image, f"--output={tmp_path}/pictures"]) == 2
    assert "this file gives labels, and scores are needed" in said(capsys)
    assert not (tmp_path / "pictures").exists()
    assert main(["complexity", str(tmp_path / "m.onnx"), f"--size=[{SIZE[0]}, {SIZE[1]}]", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames_per_second"] > 0


@pytest.mark.parametrize("command", ["export", "finetune-upsampling"])
def test_exported_files_have_no_parts(command, tmp_path, capsys):
    words = ["--output", str(tmp_path / ("x.onnx" if command == "export" else "run"))]
    assert main([command, str(tmp_path / "m.onnx"), *words]) == 2
    assert "m.onnx" in said(capsys)
