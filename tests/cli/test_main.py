"""The command line as a person meets it: exit codes, one readable line for whatever is wrong, no traceback."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from offstride.cli.main import COMMANDS, main
from offstride.data import STREETS, ClassSet, Streets
from offstride.models import Segmenter, create_model
from offstride.visualize import save_label_png

pytestmark = pytest.mark.slow

SIZE = (40, 56)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small untrained model of the street classes."""
    torch.manual_seed(0)
    model = create_model(
        backbone="test_resnet",
        classes=STREETS,
        upsampler="lau",
        upsampler_options={"hidden": 8},
        head_options={"channels": 16},
    )
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    model.save(path)
    return path


@pytest.fixture
def tree(tmp_path):
    """A folder data set of three street scenes in two splits."""
    root = tmp_path / "tree"
    for split, count in (("train", 3), ("val", 2)):
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True)
        for sample in (dataset := Streets(count, SIZE, split=split)):
            name = f"{sample.name.replace('/', '-')}"
            Image.fromarray(sample.image.permute(1, 2, 0).numpy()).save(root / "images" / split / f"{name}.jpg")
            save_label_png(root / "labels" / split / f"{name}.png", sample.label.numpy(), dataset.classes.palette)
    (root / "classes.json").write_text(json.dumps(STREETS.to_dict()))
    return root


def train(tree, output, *more):
    small = ["--model.backbone=test_resnet", "--data.crop=[32,32]", "--schedule.steps=2", "--schedule.batch_size=2"]
    head = ["--model.head_options={channels: 16}", "--schedule.accelerator=cpu", "--data.workers=0"]
    return main(["train", "--output", str(output), "--data.name=folder", f"--data.root={tree}", *small, *head, *more])


def complaint(capsys):
    """What was said on standard error: one line, from us."""
    text = capsys.readouterr().err
    lines = [line for line in text.splitlines() if not line.startswith("training: step")]
    assert len(lines) == 1, text
    assert lines[0].startswith("offstride: ")
    assert "Traceback" not in text
    return lines[0]


def first(folder):
    return sorted(folder.iterdir())[0]


def test_help_names_every_command(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    assert f"offstride {name}" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("offstride 0.")


def test_unknown_command(capsys):
    assert main(["trian"]) == 2
    assert "train" in complaint(capsys)


def test_train_evaluate_predict(tree, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(tree, run) == 0
    assert capsys.readouterr().out.strip() == str(run / "best.safetensors")
    figures = tmp_path / "deep" / "scores.json"
    arguments = [str(run / "best.safetensors"), f"--root={tree}", "--split=val", f"--json={figures}", "--workers=0"]
    assert main(["evaluate", *arguments, "--device=cpu"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in STREETS.names)
    scores = json.loads(figures.read_text())
    assert scores["images"] == 2
    assert set(scores["classes"]) == set(STREETS.names)
    assert 0 <= scores["miou"] <= 1
    out = tmp_path / "out"
    assert main(["predict", str(run / "best.safetensors"), str(tree / "images"), f"--output={out}"]) == 0
    source = first(tree / "images" / "val")
    target = out / "val" / source.stem
    with Image.open(f"{target}.png") as label, Image.open(f"{target}_overlay.jpg") as overlay:
        assert label.mode == "P"
        assert label.size == overlay.size == (SIZE[1], SIZE[0])
        assert tuple(label.getpalette()[:3]) == STREETS.palette[0]
        assert np.asarray(label).max() < len(STREETS)
    assert len(list(out.rglob("*.png"))) == 5


def test_recipe_files_are_laid_over_each_other(tree, tmp_path):
    base, more = tmp_path / "base.yaml", tmp_path / "more.yaml"
    base.write_text("schedule: {seed: 3, batch_size: 2}\nmodel: {head_options: {channels: 8}}\n")
    more.write_text("schedule: {seed: 4}\n")
    small = ["--model.backbone=test_resnet", "--schedule.steps=1", "--data.crop=[32,32]", "--schedule.accelerator=cpu"]
    where = ["--data.name=folder", f"--data.root={tree}", "--data.workers=0"]
    assert main(["train", str(base), str(more), "--output", str(tmp_path / "run"), *small, *where]) == 0
    written = (tmp_path / "run" / "recipe.yaml").read_text()
    assert "seed: 4" in written
    assert "batch_size: 2" in written
    assert Segmenter.load(tmp_path / "run" / "last.safetensors").classifier.in_channels == 8


@pytest.mark.parametrize("pattern", ["{root}/images/val", "{root}/images/val/*.jpg", "{root}/images/**/*.jpg"])
def test_predict_takes_folders_and_patterns(tree, tmp_path, checkpoint, pattern):
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), pattern.format(root=tree), f"--output={out}"]) == 0
    assert len(list(out.rglob("*_overlay.jpg"))) == (5 if "**" in pattern else 2)


def test_predict_goes_on_after_a_bad_image(tree, tmp_path, checkpoint, capsys):
    victim = first(tree / "images" / "val")
    victim.write_bytes(victim.read_bytes()[:200])
    assert main(["predict", str(checkpoint), str(tree / "images" / "val"), f"--output={tmp_path / 'out'}"]) == 2
    assert victim.name in complaint(capsys)
    assert len(list((tmp_path / "out").glob("*.png"))) == 1


def test_predict_names_what_would_collide(tree, tmp_path, checkpoint, capsys):
    twin = tmp_path / "twin"
    shutil.copytree(tree / "images" / "val", twin)
    assert main(["predict", str(checkpoint), str(tree / "images" / "val"), str(twin)]) == 2
    assert "both" in complaint(capsys)


def test_predict_without_images(tmp_path, checkpoint, capsys):
    assert main(["predict", str(checkpoint), str(tmp_path)]) == 2
    assert str(tmp_path) in complaint(capsys)


def test_data_check(tree, tmp_path, capsys):
    assert main(["data", "check", str(tree), f"--json={tmp_path / 'a.json'}"]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["ok"]
    first(tree / "labels" / "val").unlink()
    victim = first(tree / "images" / "train")
    victim.write_bytes(victim.read_bytes()[:-300])
    assert main(["data", "check", str(tree)]) == 1
    text = capsys.readouterr().out
    assert "images without a mask (1)" in text
    assert victim.name in text


def broken(tree, kind):
    """Spoil the training split; returns what the message must name."""
    image, label = first(tree / "images" / "train"), first(tree / "labels" / "train")
    if kind == "missing mask":
        label.unlink()
        return image.name
    if kind == "mask of another size":
        with Image.open(label) as mask:
            smaller = mask.resize((20, 20), Image.Resampling.NEAREST)
        smaller.save(label)
        return label.name
    if kind == "unknown label value":
        Image.fromarray(np.full(SIZE, 200, np.uint8)).save(label)
        return "200"
    if kind == "truncated JPEG":
        image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
        return image.name
    shutil.rmtree(tree / "images" / "train")
    shutil.rmtree(tree / "labels" / "train")
    (tree / "images" / "train").mkdir()
    (tree / "labels" / "train").mkdir()
    return "train"


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "kind", ["missing mask", "mask of another size", "unknown label value", "truncated JPEG", "empty folder"]
)
def test_bad_data_is_one_line(tree, tmp_path, capsys, kind, workers):
    named = broken(tree, kind)
    assert train(tree, tmp_path / "run", "--schedule.steps=4", f"--data.workers={workers}") == 2
    assert named in complaint(capsys)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--model.backbone=resnet5O"], "resnet50"),
        (["--model.backbone=vgg11", "--model.output_stride=8"], "output_stride"),
        (["--model.pretrained=/nonexistent.safetensors"], "/nonexistent.safetensors"),
        (["--model.head=fnc"], "fcn"),
        (["--schedule.stepz=3"], "stepz"),
        (["--schedule.steps=many"], "steps"),
        (["--schedule.batch_size=0"], "batch_size"),
        (["--data.root=/nonexistent"], "/nonexistent"),
        (["--data.train=nosplit"], "val"),
        (["--loss.location=regression"], "location"),
        (["--recipe=/nonexistent.yaml"], "/nonexistent.yaml"),
    ],
)
def test_bad_settings_are_one_line(tree, tmp_path, capsys, arguments, named):
    assert train(tree, tmp_path / "run", *arguments) == 2
    assert named in complaint(capsys)


def test_a_misspelt_key_in_a_recipe_is_named(tree, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("schedule:\n  stepz: 3\n")
    assert train(tree, tmp_path / "run", f"--recipe={tmp_path / 'recipe.yaml'}") == 2
    assert "stepz" in complaint(capsys)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_not_a_checkpoint(tree, tmp_path, capsys, command):
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    where = [f"--root={tree}"] if command == "evaluate" else [str(tree / "images")]
    assert main([command, str(tmp_path / "junk.safetensors"), *where]) == 2
    assert "junk.safetensors" in complaint(capsys)


def test_evaluate_refuses_other_classes(tree, tmp_path, capsys, checkpoint):
    names = ClassSet(tuple(f"c{i}" for i in range(len(STREETS))))
    (tree / "classes.json").write_text(json.dumps(names.to_dict()))
    assert main(["evaluate", str(checkpoint), f"--root={tree}", "--split=val"]) == 2
    assert "sky" in complaint(capsys)


def test_a_device_that_is_not_there(tree, checkpoint, capsys):
    assert main(["predict", str(checkpoint), str(tree / "images"), "--device=nonsense"]) == 2
    assert "nonsense" in complaint(capsys)
