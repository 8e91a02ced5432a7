"""`offstride finetune-upsampling`: a folder of images and masks, and scores before and after."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from offstride import sharpen
from offstride.cli.finetune_upsampling import _table
from offstride.cli.main import main
from offstride.data import ClassSet, FolderDataset
from offstride.evaluate import Evaluation, evaluate
from offstride.metrics import BoundaryScores, SegmentationScores
from offstride.models import Segmenter, create_model

CLASSES = ClassSet(names=("ground", "thing"))


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / "data" / kind / split).mkdir(parents=True)
        for index in range(2):
            label = np.zeros((40, 56), np.uint8)
            top, left = random.integers(5, 20, 2)
            label[top : top + 15, left : left + 20] = 1
            image = np.repeat(label[..., None] * 150, 3, 2) + random.integers(0, 50, (40, 56, 3))
            Image.fromarray(image.astype(np.uint8)).save(tmp_path / "data" / "images" / split / f"{index}.png")
            Image.fromarray(label).save(tmp_path / "data" / "labels" / split / f"{index}.png")
    (tmp_path / "data" / "classes.json").write_text(json.dumps(CLASSES.to_dict()))
    return tmp_path / "data"


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "m.safetensors"
    create_model(backbone="test_resnet", head_options={"channels": 16}, classes=CLASSES).save(path)
    return path


def command(checkpoint, folder, output, *more):
    where = [str(checkpoint), f"--data.root={folder}", f"--output={output}", "--data.crop=[32, 32]", "--data.workers=0"]
    how = ["--schedule.steps=3", "--schedule.batch_size=2", "--schedule.accelerator=cpu"]
    return ["finetune-upsampling", *where, *how, *more]


def test_it_says_what_it_starts_from_and_scores_before_and_after(checkpoint, folder, tmp_path, capsys):
    output = tmp_path / "run"
    words = command(checkpoint, folder, output, "--upsampler-options", "{scale: 4, hidden: 8}")
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "lau(scale=4, init='zero', rest='offsets', origin='center', hidden=8), 2,560 parameters" in printed.err
    assert "at start   equals the original" in printed.err
    assert printed.out.splitlines()[-1] == str(output / "best.safetensors")
    rows = {line.split("│")[1].strip(): line.split("│")[2:5] for line in printed.out.splitlines() if "│" in line}
    dataset = FolderDataset(folder, "val")
    for column, path in enumerate((checkpoint, output / "best.safetensors")):
        scores = evaluate(Segmenter.load(path), dataset).to_dict()
        for name, key in (("mIoU", "miou"), ("boundary IoU", "boundary_iou"), ("pixel accuracy", "pixel_accuracy")):
            assert float(rows[name][column]) == pytest.approx(100 * scores[key], abs=0.0051)
    assert main(words) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0


@pytest.mark.parametrize("cache", [False, True])
def test_the_universal_upsampler_learns_alone_from_the_shipped_weights(checkpoint, folder, tmp_path, cache):
    output, start = tmp_path / "run", sharpen(Segmenter.load(checkpoint))
    more = ["--upsampler=universal", f"--data.cache={cache}", "--data.crop=[40, 56]", "--data.scale=[1, 1]"]
    assert main(command(checkpoint, folder, output, *more)) == 0
    before = start.state_dict()
    for name, tensor in Segmenter.load(output / "last.safetensors").state_dict().items():
        assert torch.equal(tensor, before[name]) is not name.startswith("upsampler."), name
        if name.startswith("upsampler."):
            assert torch.allclose(tensor, before[name], atol=0.05), "three steps from where it started"


def test_the_table_says_what_was_gained():
    def scored(right, boundary):
        scores = SegmentationScores.from_matrix(torch.tensor([[right, 60 - right], [10, 30]]))
        return Evaluation(CLASSES, scores, BoundaryScores(boundary, torch.tensor([boundary] * 2)), 1, 1.0)

    out = io.StringIO()
    Console(file=out).print(_table({"before": scored(40, 0.5), "after": scored(50, 0.25)}, "title"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.getvalue().splitlines()]
    assert [row for row in rows if row] == [
        ["mIoU", "53.57", "65.71", "+12.14"],  # (4/7 + 1/2) / 2, (5/7 + 3/5) / 2
        ["boundary IoU", "50.00", "25.00", "-25.00"],
        ["pixel accuracy", "70.00", "80.00", "+10.00"],
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--upsampler=dupsampling"], "classifies on its own and would drop the trained classifier"),
        (["--upsampler-options={factor: 4}"], "upsampler_options: 'lau' knows"),
        (["--model.head=psp"], "--model.head: expected no settings of the model"),
        (["--schedule.train_parts=[head]"], "schedule.train_parts: expected the upsampler"),
        (["--data.val=nothing"], "nothing"),
    ],
)
def test_what_is_wrong_is_one_line(checkpoint, folder, tmp_path, capsys, more, said):
    assert main(command(checkpoint, folder, tmp_path / "run", *more)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not (tmp_path / "run").exists()


def test_other_classes_are_refused(folder, tmp_path, capsys):
    path = tmp_path / "other.safetensors"
    create_model(backbone="test_resnet", head_options={"channels": 8}, classes=3).save(path)
    assert main(command(path, folder, tmp_path / "run")) == 2
    assert "expected 2, the model has 3" in capsys.readouterr().err


def test_a_cache_gives_the_same_scores(checkpoint, folder, tmp_path, capsys):
    """And says what it computed; settings that do not fit end in one line."""
    whole = ("--data.crop=[40, 56]", "--data.scale=[1, 1]", "--upsampler-options={scale: 4, hidden: 8}")
    tables = []
    for name, cache in (("plain", "false"), ("cached", "true")):
        assert main(command(checkpoint, folder, tmp_path / name, *whole, f"--data.cache={cache}")) == 0
        printed = capsys.readouterr()
        tables.append(printed.out.splitlines()[:-1])
    assert tables[0] == tables[1]
    assert "cache: training images at scale 1: 4 maps computed, 0 found in" in printed.err
    assert main(command(checkpoint, folder, tmp_path / "no", "--data.cache=true", "--data.jitter=0.2")) == 2
    assert "jitter: expected 0 with data.cache" in capsys.readouterr().err
    assert main(command(checkpoint, folder, tmp_path / "no", "--data.cache=true", "--data.crop=[24, 24]")) == 2
    assert "crop: expected a length on the grid of stride 16" in capsys.readouterr().err
