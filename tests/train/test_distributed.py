"""Two processes give what one gives on the joined batch."""

import os
import subprocess
import sys

import pytest
import torch
import yaml

from offstride.models import Segmenter
from offstride.train import read_history
from offstride.train.recipe import recipe_to_dict


def train(recipe, path, devices):
    file = path / f"recipe{devices}.yaml"
    file.write_text(yaml.safe_dump(recipe_to_dict(recipe)))
    command = [sys.executable, "-m", "offstride", "train", str(file), "--output", str(path / f"{devices}")]
    subprocess.run(
        [*command, f"--schedule.devices={devices}"],
        check=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"},
    )


def test_two_processes_equal_one(recipe, change, tmp_path):
    """Random crops leave the halves of a batch with unequal numbers of valid pixels; plain SGD shows gradients."""
    recipe = change(recipe, "schedule", steps=2, batch_size=4, freeze_norm="all", validate_every=2)
    recipe = change(recipe, "optimizer", momentum=0.0)
    recipe = change(recipe, "model", head_options={"channels": 16, "dropout": 0.0})
    for devices in (1, 2):
        train(recipe, tmp_path, devices)
    one, two = (Segmenter.load(tmp_path / name / "last.safetensors").state_dict() for name in "12")
    for name, value in one.items():
        torch.testing.assert_close(
            two[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
    scores = [read_history(tmp_path / name / "validation.csv")[0]["miou"] for name in "12"]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
