import json

from offstride.cli.main import main
from offstride.models import PRESETS
from offstride.models.complexity import complexity
from offstride.models.costs import ghost_preset


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
    assert main(["models", "encnet_resnet50_os8_lau"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "encnet_resnet50_os8_lau" in line]
    macs = complexity(ghost_preset("encnet_resnet50_os8_lau"), (512, 512)).macs
    assert line.split()[1:6] == ["33.84", "M", f"{macs / 1e9:.1f}", "512×512", "3a,"]
    assert main(["models", "vgg*"]) == 2
    assert "pattern: expected one that fits a model, got 'vgg*'" in capsys.readouterr().err
