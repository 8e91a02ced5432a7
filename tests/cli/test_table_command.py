"""`offstride table`: runs are shared, resumed and kept apart; figures stand beside the print."""

import json

import pytest
import yaml

from offstride.cli.main import main
from offstride.experiments.overview import readme

pytestmark = pytest.mark.slow

BASE = {
    "data": {"name": "streets", "count": 4, "val_count": 2, "size": [40, 56], "crop": [32, 32], "workers": 0},
    "model": {"backbone": "test_resnet", "output_stride": 8, "head_options": {"channels": 8}},
    "schedule": {"epochs": 1, "batch_size": 2, "accelerator": "cpu"},
    "evaluate": {"base": 56, "sliding": [32, 32]},
}
LISTED = """
title: A paper
tables:
  "1":
    title: first
    rows:
      - {row: Others, published: {miou: 70.0}}
      - plain.yaml
      - flipped.yaml
      - lau.yaml
      - later.yaml
  "2":
    title: second
    rows: [bound.yaml, dupsampling.yaml, server.yaml, counted.yaml]
"""
ROWS = {
    "1/plain": {"base": "../base.yaml", "table": {"row": "Plain", "published": {"miou": 50.25, "parameters": 1.5}}},
    "1/flipped": {
        "same": "plain.yaml",
        "evaluate": {"flip": True, "scales": [0.5, 1.0]},
        "table": {"row": "Flipped", "published": {"miou": 51.0, "relative_time": 1.0}, "against": "plain.yaml"},
    },
    "1/lau": {
        "base": "../base.yaml",
        "model": {"upsampler": "lau"},
        "table": {
            "row": "LaU",
            "published": {"pixel_accuracy": 80, "extra_parameters": 0.1},
            "against": "plain.yaml",
        },
    },
    "1/later": {
        "base": "plain.yaml",
        "after": "plain.yaml",
        "schedule": {"freeze_norm": "all"},
        "table": {"row": "Later", "published": {"miou": 52.0}, "remark": "after Plain"},
    },
    "2/bound": {
        "base": "../base.yaml",
        "evaluate": {
            "learned_bound": {"decoder": "dupsampling", "scale": 8, "steps": 2, "channels": 4, "crop": [32, 32]}
        },
        "table": {"row": "Bound", "published": {"upper_bound": 99.9}, "measure": "upper-bound"},
    },
    "2/dupsampling": {
        "base": "../base.yaml",
        "model": {"upsampler": "dupsampling", "upsampler_options": {"channels": 4}},
        "table": {"row": "DUpsampling", "published": {"miou": 60.0}},
    },
    "2/server": {
        "same": "../1/plain.yaml",
        "evaluate": {"split": "test"},
        "table": {"row": "Server", "published": {"miou": 61.0}, "measure": "server"},
    },
    "2/counted": {
        "base": "../base.yaml",
        "table": {"row": "Counted", "published": {"macs": 1.0}, "measure": "complexity", "size": [64, 64]},
    },
}


@pytest.fixture
def recipes(tmp_path):
    paper = tmp_path / "recipes" / "paper"
    (paper / "1").mkdir(parents=True)
    (paper / "2").mkdir()
    (paper / "base.yaml").write_text(yaml.safe_dump(BASE))
    (paper / "tables.yaml").write_text(LISTED)
    for name, content in ROWS.items():
        described = {**content, "table": {"id": f"paper/{name[0]}", **content["table"]}}
        (paper / f"{name}.yaml").write_text(yaml.safe_dump(described))
    return paper.parent


@pytest.fixture
def table(recipes, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words: str, code: int = 0) -> str:
        assert main(["table", *words, "--recipes", str(recipes), "--output", str(tmp_path / "runs")]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return run


def line(text: str, start: str) -> list[str]:
    row = next(line for line in text.splitlines() if line.strip().startswith(start))
    return row.split()


def test_rows_share_trainings_and_are_not_run_again(table, tmp_path):
    planned = table("paper/1", "--dry-run")
    assert line(planned, "Plain")[:8] == ["Plain", "0", "train", "1", "epochs", "on", "streets", "train,"]
    assert line(table("paper/1", "--no-run"), "Later") == ["Later", "[1]", "mIoU", "%", "52.00", "–"]
    shown = table("paper/1", "--json", str(tmp_path / "results.json"))
    published = tmp_path / "runs" / "published" / "paper" / "1"
    assert sorted(path.name for path in published.iterdir()) == ["later", "lau", "plain"]
    results = [json.loads(path.read_text()) for path in (published / "plain" / "seed-0").glob("scores_*.json")]
    scores = {result["evaluate"].get("flip", False): result["miou"] for result in results}
    rows = json.loads((tmp_path / "results.json").read_text())[0]["rows"]
    ours = {flip: rows[f"{name}.yaml"]["miou"]["mean"] / 100 for name, flip in (("plain", False), ("flipped", True))}
    assert ours == pytest.approx(scores)
    *_, difference = line(shown, "Plain")
    assert float(difference.replace("−", "-")) == pytest.approx(rows["plain.yaml"]["miou"]["mean"] - 50.25, abs=0.006)
    assert rows["flipped.yaml"]["relative_time"] == {"mean": 1.0, "sd": None, "values": [1.0]}
    assert line(shown, "Others") == ["Others", "mIoU", "%", "70.00"]
    assert yaml.safe_load((published / "later" / "seed-0" / "recipe.yaml").read_text())["model"]["start"] == str(
        published / "plain" / "seed-0" / "last.safetensors"
    )
    before = {path: path.stat().st_mtime_ns for path in published.rglob("last.*")}
    assert table("paper/1") == shown
    assert before == {path: path.stat().st_mtime_ns for path in published.rglob("last.*")}
    assert "nothing" in line(table("paper/1", "--dry-run"), "Later")
    assert line(table("--list"), "paper/1") == ["paper/1", "first", "5", "4", "4"]


def test_changes_are_named_and_kept_apart(table, tmp_path):
    words = ["paper/1", "--seeds", "0", "1", "--limit-steps", "1", "--data.crop=[24,40]", "--data.base", "null"]
    shown = table(*words, "--evaluate.flip", "false", "--json", str(tmp_path / "results.json"))
    changes = "data.crop [24,40], data.base null, evaluate.flip false, schedule.steps 1"
    assert f"NOT THE SETTING OF THE PAPER: {changes}" in " ".join(shown.split())
    assert "±" in line(shown, "Plain")
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("changed-")
    assert yaml.safe_load((folder / "setting.yaml").read_text())["schedule.steps"] == "1"
    run = folder / "paper" / "1" / "plain" / "seed-1"
    assert (
        yaml.safe_load((run / "recipe.yaml").read_text())["schedule"] | {"steps": 1, "epochs": None, "seed": 1}
        == (yaml.safe_load((run / "recipe.yaml").read_text())["schedule"])
    )
    how = [json.loads(path.read_text())["evaluate"] for path in run.glob("scores_*.json")]
    assert {(each["base"], tuple(each["sliding"]), each["flip"]) for each in how} == {(None, (24, 40), False)}


def test_bounds_bases_servers_and_counts(table, tmp_path, recipes):
    shown = table("paper/2", "--json", str(recipes / "results.json"))
    assert line(shown, "Bound")[:4] == ["Bound", "mIoU*", "%", "99.90"]
    assert len(line(shown, "Bound")) == len(line(shown, "DUpsampling")) == 6
    assert line(shown, "Server") == ["Server", "mIoU", "%", "61.00", "–"]
    runs = tmp_path / "runs" / "published"
    assert {path.name for path in (runs / "bases").iterdir()} == {"streets-train-8-4.safetensors"}
    assert (runs / "paper" / "1" / "plain" / "seed-0" / "last.safetensors").exists()
    page = readme(recipes)
    assert "| Others | – | mIoU 70.00 |  |" in page
    assert "| Server | [server](paper/2/server.yaml) *server* | mIoU 61.00 |  |" in page
    counted = json.loads((recipes / "results.json").read_text())[0]["rows"]["counted.yaml"]["macs"]["mean"]
    assert f"| Counted | [counted](paper/2/counted.yaml) | MACs 1.00 G | MACs {counted:.2f} G |" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["paper/9"], "table: expected a name that `offstride table --list` shows, got 'paper/9'; close: paper/"),
        (["paper/1", "--roots", "streets"], "roots: expected NAME=FOLDER, got 'streets'"),
        (["paper/1", "--schedule.seed", "1"], "schedule.seed: expected --seeds instead"),
        (["paper/1", "--evaluate.flips", "true"], "evaluate: unknown flips"),
        (["paper/1", "--data.crop"], "data.crop: expected a value"),
        (["paper/1", "--data.cropp=3"], "cropp"),
        (["paper/1", "--data.train=sunday"], "Plain: split: expected one of"),
    ],
)
def test_what_is_wrong_is_said(table, words, message):
    assert message in table(*words, code=2)


def test_a_row_that_cannot_be_run_does_not_stop_the_others(table, recipes, tmp_path):
    path = recipes / "paper" / "1" / "plain.yaml"
    path.write_text(path.read_text() + "data: {train: sunday}\n")
    assert table("paper/1", code=2).count("split: expected") == 3  # plain, flipped and what comes after plain
    assert line(table("paper/1", "--no-run"), "LaU")[-2] != "–"


def test_wrong_lists_are_named(table, recipes):
    path = recipes / "paper" / "1" / "lau.yaml"
    good = path.read_text()
    for change, message in (
        ({"id": "paper/2"}, "lau.yaml: table: id: expected paper/1, got 'paper/2'"),
        ({"measure": "luck"}, "lau.yaml: measure: expected one of accuracy"),
        ({"published": {"luck": 1}}, "lau.yaml: published: expected some of miou"),
    ):
        described = yaml.safe_load(good)
        described["table"] |= change
        path.write_text(yaml.safe_dump(described))
        assert message in table("paper/1", "--dry-run", code=2)
