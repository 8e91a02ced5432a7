import json
from pathlib import Path

import pytest

from offstride.cli.main import main

pytestmark = pytest.mark.slow

SMALL = [
    "--data.count=6", "--data.val_count=3", "--data.size=[48,64]", "--data.crop=[48,64]", "--data.workers=0",
    "--model.backbone=mobilenetv2_035", "--schedule.steps=2", "--schedule.batch_size=2", "--schedule.validate_every=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "shared.yaml"
    path.write_text("data: {name: streets}\nmodel: {head_options: {channels: 16}}\noptimizer: {name: adamw}\n")
    return path


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    """Folder of a finished comparison, and the words that made it."""
    output = tmp_path_factory.mktemp("compare")
    words = ["compare", "--recipe", str(recipe), "--upsamplers=bilinear,dupsampling", "--seeds=2",
             f"--output={output}", "--rounds=1", "--resamples=50", *SMALL]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("offstride.compare.costs._peak", lambda *_: 1 << 20)  # `test_costs` measures it, in processes
        assert main(words) == 0
    return output, words


def stamps(output: Path) -> dict[Path, int]:
    """When models and counts were written."""
    return {
        path: path.stat().st_mtime_ns for path in output.rglob("*.[sn]*") if path.suffix in (".safetensors", ".npz")
    }


def test_it_trains_scores_and_reports(run):
    output, _ = run
    report = json.loads((output / "report.json").read_text())
    assert [entry["name"] for entry in report["entries"]] == ["bilinear", "dupsampling"]
    assert report["seeds"] == [0, 1]
    assert report["missing"] == []
    other = report["entries"][1]
    assert len(other["scores"]["miou"]["values"]) == 2
    assert [point[0] for point in other["curves"]["miou"][0]] == [1, 2]
    assert other["costs"]["devices"]["cpu"]["latency"] > 0
    for name in ("report.md", "report.html"):
        text = (output / name).read_text()
        assert all(entry in text for entry in ("bilinear", "dupsampling"))


def test_scores_are_those_of_evaluate(run, tmp_path):
    output, _ = run
    report = json.loads((output / "report.json").read_text())
    figures = tmp_path / "scores.json"
    where = ["--data=streets", "--split=val", "--count=3", "--size=[48,64]", f"--json={figures}"]
    assert main(["evaluate", str(output / "dupsampling" / "seed-1" / "last.safetensors"), *where]) == 0
    scores = json.loads(figures.read_text())
    for metric in report["metrics"]:
        assert report["entries"][1]["scores"][metric]["values"][1] == pytest.approx(scores[metric])


def test_nothing_is_run_twice(run, capsys):
    output, words = run
    before = stamps(output)
    assert main([*words, "--dry-run"]) == 0
    assert "train" not in capsys.readouterr().out
    assert main([*words, "--rounds=0"]) == 0
    assert stamps(output) == before
    assert "training" not in capsys.readouterr().err


def test_what_is_missing_is_said(run, capsys):
    _, words = run
    assert main([*words, "--seeds=3", "--no-run", "--rounds=0"]) == 0
    out = capsys.readouterr().out
    assert "missing: bilinear seed 2, dupsampling seed 2" in " ".join(out.split())
    assert main([*words, "--no-run", "--upsamplers=bilinear,carafe"]) == 2
    assert "missing: carafe seed 0, carafe seed 1" in " ".join(capsys.readouterr().err.split())


def test_runs_by_another_recipe_are_refused(run, capsys):
    _, words = run
    assert main([*words, "--optimizer.learning_rate=0.5"]) == 2
    assert "holds a run by another recipe; different: optimizer.learning_rate" in capsys.readouterr().err


def test_model_files_are_compared_without_training(run, tmp_path, capsys):
    output, _ = run
    runs = [(name, f"seed-{seed}") for name in ("bilinear", "dupsampling") for seed in (0, 1)]
    files = [f"{name}={output / name / seed / 'last.safetensors'}" for name, seed in runs]
    folder = tmp_path / "data"
    _write_street(folder)
    where = ["--data=folder", f"--root={folder}", "--split=val", f"--output={tmp_path / 'report'}"]
    assert main(["compare", "--checkpoints", *files, *where, "--rounds=0", "--resamples=20"]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [entry["runs"] for entry in report["entries"]] == [2, 2]
    assert report["seeds"] == []
    assert report["entries"][1]["scores"]["miou"]["difference"]["seeds"] is None
    assert "2 upsamplers, 4 models" in " ".join(capsys.readouterr().out.split())


def _write_street(root: Path) -> None:
    from PIL import Image

    from offstride.data import Streets

    dataset = Streets(2, (48, 64), 0, "val")
    for part in ("images", "labels"):
        (root / part / "val").mkdir(parents=True)
    for index in range(2):
        sample = dataset[index]
        Image.fromarray(sample.image.permute(1, 2, 0).numpy()).save(root / "images" / "val" / f"{index}.png")
        Image.fromarray(sample.label.numpy()).save(root / "labels" / "val" / f"{index}.png")
    (root / "classes.json").write_text(json.dumps(dataset.classes.to_dict()))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "recipe: expected either --recipe or --checkpoints"),
        (["--recipe=r.yaml", "--checkpoints=a"], "recipe: expected either --recipe or --checkpoints"),
        (["--checkpoints=a", "--data.crop=[8,8]"], "cannot be combined with settings of training"),
        (["--recipe=r.yaml", "--seeds=0"], "seeds: expected 1 or more"),
        (["--recipe=r.yaml", "--schedule.seed=3"], "schedule.seed: expected --seeds"),
        (["--recipe=none.yaml"], "none.yaml"),
        (["--recipe=r.yaml", "--level=2"], "level: expected"),
        (["--recipe=r.yaml", "--upsamplers=magic"], "got 'magic'"),
        (["--checkpoints=a.safetensors", "--data=streets", "--split=nowhere"], "split: expected"),
    ],
)
def test_bad_input_is_one_line(words, message, capsys):
    assert main(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
