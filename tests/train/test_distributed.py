"""Two processes give what one gives on the joined batch; one that is killed ends the other, and the run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from offstride.models import Segmenter
from offstride.train import Recipe, build_split, fit, fit_stages, read_history
from offstride.train.reading import read_stages
from offstride.train.recipe import recipe_to_dict
from offstride.upsamplers import fit_label_basis

pytestmark = pytest.mark.slow

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
DUPSAMPLING = {
    "head": "dupsampling_decoder",
    "head_options": {"channels": 16, "dropout": 0.0},
    "upsampler": "dupsampling",
    "upsampler_options": {"channels": 6},
}


def weights(path):
    return Segmenter.load(path).state_dict()


def write(recipe: Recipe, path: Path, **more: object) -> None:
    path.write_text(yaml.safe_dump(recipe_to_dict(recipe) | more))


def alike(one: Path, two: Path) -> None:
    one_model, two_model = weights(one / "last.safetensors"), weights(two / "last.safetensors")
    for name, value in one_model.items():
        torch.testing.assert_close(
            two_model[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
    scores = [read_history(path / "validation.csv")[0]["miou"] for path in (one, two)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


@pytest.fixture
def recipes(recipe, change, tmp_path):
    """Random crops leave the halves of a batch with unequal numbers of valid pixels; plain SGD shows gradients."""
    recipe = change(recipe, "schedule", steps=2, batch_size=4, freeze_norm="all", validate_every=2)
    recipe = change(recipe, "optimizer", momentum=0.0)
    plain = change(recipe, "model", head_options={"channels": 16, "dropout": 0.0})
    folder = tmp_path / "recipes"
    folder.mkdir()
    write(plain, folder / "1_plain.yaml")
    write(change(plain, "schedule", accumulate=2), folder / "2_accumulated.yaml")
    later = change(change(plain, "model", output_stride=8), "schedule", steps=1)
    write(later, folder / "3_stages.yaml", after="1_plain.yaml")

    # Without the cross-entropy W and the temperature take no part, which processes that wait for them must know.
    staged = change(
        change(recipe, "model", **DUPSAMPLING, basis=tmp_path / "basis.safetensors"), "loss", location="none"
    )
    scenes = build_split(staged.data, "train")
    maps = (scenes[index].label for index in range(len(scenes)))
    fit_label_basis(maps, scale=16, classes=len(scenes.classes), channels=8).save(tmp_path / "basis.safetensors")
    write(change(staged, "loss", compressed=0.01, main=False), folder / "4_regression.yaml")
    return folder


def test_two_processes_equal_one(recipes, tmp_path):
    files = sorted(recipes.glob("*.yaml"))
    for file in files:
        fit_stages(read_stages([file]), tmp_path / file.stem)
    script = Path(__file__).parent / "distributed_runs.py"
    command = [sys.executable, str(script), str(recipes), "--schedule.devices=2"]
    subprocess.run(command, check=True, timeout=300, env=ENVIRONMENT)
    for file in files:
        alike(tmp_path / file.stem, recipes / file.stem)
    alike(tmp_path / "1_plain", tmp_path / "2_accumulated")
    alike(tmp_path / "3_stages" / "before", recipes / "3_stages" / "before")


def children(process: subprocess.Popen) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def rows(record: Path) -> int:
    return len(record.read_text().splitlines()) if record.exists() else 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the second process in /proc")
def test_a_killed_process_ends_the_run_which_then_goes_on(recipe, change, tmp_path):
    """First the second process is killed, then, resumed, the first one; then one process ends the run."""
    recipe = change(recipe, "model", head_options={"channels": 16, "dropout": 0.0})
    recipe = change(recipe, "schedule", steps=60, batch_size=2, freeze_norm="all", validate_every=60)
    recipe = change(change(recipe, "optimizer", momentum=0.0), "schedule", checkpoint_every=5)
    write(recipe, tmp_path / "recipe.yaml")
    run, record = tmp_path / "run", tmp_path / "run" / "train.csv"
    command = [sys.executable, "-m", "offstride", "train", str(tmp_path / "recipe.yaml"), "--output", str(run)]
    for victim in ("second", "first"):
        done = rows(record)
        process = subprocess.Popen(
            [*command, "--resume", "--schedule.devices=2"], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        while process.poll() is None and rows(record) < done + 8:
            time.sleep(0.01)
        others = children(process)
        os.kill(others[0] if victim == "second" else process.pid, signal.SIGKILL)
        said = process.communicate(timeout=60)[1]  # until both have closed it
        lines = [line for line in said.splitlines() if not line.startswith("training: step")]
        assert len(lines) == 1, said
        assert lines[0].startswith("offstride: the run stops because another process failed (")
        assert lines[0].endswith("; continue it with --resume")

    assert 16 <= rows(record) < 60
    fit(recipe, run, resume=True)
    fit(recipe, tmp_path / "whole")
    assert [row["step"] for row in read_history(record)] == list(range(1, 61))
    alike(tmp_path / "whole", run)
