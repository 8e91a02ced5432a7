import json

from offstride.cli.main import main
from offstride.models import PRESETS


def test_models_are_listed_by_paper(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in PRESETS)
    assert "GFF (Li et al., 2020)" in out


def test_a_pattern_and_json(capsys):
    assert main(["models", "encnet_resnet50_os8_lau", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["parameters"] == 33_672_854 + 167_936
    assert row["table"] == "3a, 3b, 8"
    assert main(["models", "vgg*"]) == 2
    assert "pattern: expected one that fits a model, got 'vgg*'" in capsys.readouterr().err
