import json
import re
from pathlib import Path

import pytest

from offstride.cli.main import main
from offstride.models import create_model

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).parents[2] / "recipes"


def figures(capsys, *arguments):
    assert main(["complexity", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_published_model_by_name(capsys):
    costs = figures(capsys, "deeplabv3_resnet50_block4", "--seconds", 0)
    assert costs["parameters"] == 23_551_061
    assert costs["size"] == [513, 513]
    assert costs["flops"] == 2 * costs["macs"]
    assert "frames_per_second" not in costs
    assert figures(capsys, "deeplabv3_resnet50_block4", "--seconds", 0, "--classes", 20)["parameters"] < 23_551_061


def test_recipes_and_checkpoints(capsys, tmp_path):
    costs = figures(capsys, RECIPES / "camvid" / "bilinear.yaml", "--seconds", 0)
    assert costs["size"] == [240, 320]
    model = create_model(backbone="test_resnet", classes=3)
    model.save(tmp_path / "model.safetensors")
    costs = figures(capsys, tmp_path / "model.safetensors", "--size", "[64, 96]", "--seconds", 0.01)
    assert costs["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert costs["size"] == [64, 96]
    assert costs["frames_per_second"] > 0
    assert costs["timed"] >= 3


def test_the_card_is_readable(capsys):
    assert main(["complexity", "deeplabv3_mobilenetv2_aspp", "--seconds", "0"]) == 0
    out = capsys.readouterr().out
    for text in ("513×513", "4,523,541", "multiply-adds", "MiB per image"):
        assert text in out
    found = figures(capsys, "deeplabv3_mobilenetv2_aspp", "--seconds", "0")
    for name, number in (
        ("multiply-adds", found["macs"] / 1e9),
        ("operations", 2 * found["macs"] / 1e9),
        ("activations kept for training", found["activation_bytes"] / 2**20),
    ):
        (shown,) = re.findall(rf"{name}\W+([\d.,]+) [GM]", out)
        assert float(shown.replace(",", "")) == pytest.approx(number, rel=0.01)


def test_papers_beside_ours(capsys):
    assert main(["complexity", "--paper", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"paper", "table", "row", "quantity", "published", "ours", "note"} == rows[0].keys()
    assert len({row["paper"] for row in rows}) == 4
    assert main(["complexity", "--paper"]) == 0
    out = capsys.readouterr().out
    assert "43.65 G" in out
    assert "cut off, not rounded" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "model: expected the name of a model"),
        (["nonsense"], "model: expected a name that `offstride models` lists"),
        (["deeplabv3_resnet50_block4", "--size", "[0, 4]"], "size: expected a positive"),
        (["missing.yaml"], "missing.yaml"),
        (["missing.safetensors"], "missing.safetensors"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert main(["complexity", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
