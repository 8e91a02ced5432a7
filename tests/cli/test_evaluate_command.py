"""`offstride evaluate`: how images are predicted."""

import io
import json

import pytest
import torch
from rich.console import Console

from offstride.cli.evaluate import score_table
from offstride.cli.main import main
from offstride.data import STREETS, ClassSet, Streets
from offstride.evaluate import Evaluation, evaluate
from offstride.inference import InferenceProtocol
from offstride.metrics import BoundaryScores, SegmentationScores
from offstride.models import Segmenter, create_model

SIZE = (48, 64)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    create_model(backbone="test_resnet", classes=STREETS, head_options={"channels": 16}).save(path)
    return path


@pytest.mark.parametrize(
    ("arguments", "protocol", "stride", "title"),
    [
        ([], InferenceProtocol(), 16, "output stride 16"),
        (["--output-stride", "8"], InferenceProtocol(), 8, "output stride 8"),
        (["--scales", "0.5", "1", "--flip"], InferenceProtocol((0.5, 1.0), flip=True), 16, "scales 0.5 1, flip"),
        (["--sliding", "32", "32"], InferenceProtocol(window=(32, 32)), 16, "windows 32×32"),
    ],
)
def test_scores_are_those_of_the_protocol(tmp_path, checkpoint, capsys, arguments, protocol, stride, title):
    figures = tmp_path / "scores.json"
    scenes = ["--data=streets", "--split=val", "--count=2", "--size=[48, 64]", "--workers=0", f"--json={figures}"]
    assert main(["evaluate", str(checkpoint), *scenes, "--device=cpu", *arguments]) == 0
    assert title in " ".join(capsys.readouterr().out.split())
    scores = json.loads(figures.read_text())
    result = evaluate(
        Segmenter.load(checkpoint, output_stride=stride), Streets(2, SIZE, split="val"), protocol=protocol
    )
    assert scores["miou"] == pytest.approx(result.scores.miou)
    assert scores["boundary_iou"] == pytest.approx(result.boundary.mean)
    assert scores["protocol"]["output_stride"] == stride
    assert tuple(scores["protocol"]["scales"]) == tuple(protocol.scales)


def test_bad_options_are_one_line(checkpoint, capsys):
    scenes = ["--data=streets", "--split=val", "--count=1", "--size=[48, 64]"]
    assert main(["evaluate", str(checkpoint), *scenes, "--scales", "-1"]) == 2
    assert "scales" in capsys.readouterr().err


def test_the_table_shows_every_figure_in_its_column():
    classes = ClassSet(("wall", "pole", "ghost"), thin=("pole",))
    scores = SegmentationScores.from_matrix(torch.tensor([[50, 10, 0], [30, 10, 0], [0, 0, 0]]))
    boundary = BoundaryScores(0.125, torch.tensor([0.2, 0.05, torch.nan]))
    out = io.StringIO()
    Console(file=out, width=120).print(score_table(Evaluation(classes, scores, boundary, images=6, seconds=1.5), "t"))
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in out.getvalue().splitlines()]
    table = {row[0]: row[1:] for row in rows if len(row) == 5}
    assert table == {  # IoU, boundary IoU, accuracy, share of pixels
        "wall": ["55.6", "20.0", "83.3", "60.0"],
        "pole": ["20.0", "5.0", "25.0", "40.0"],
        "ghost": ["–", "–", "–", "0.0"],
        "mean": ["37.8", "12.5", "54.2", ""],
    }
    for words in ("pixel accuracy 60.0 · 6 images · 4.0 images/s", "thin classes (pole): IoU 20.0", "means: ghost"):
        assert words in " ".join(out.getvalue().split())
