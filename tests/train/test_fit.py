"""Training runs: what they leave behind, and that a stopped run continues as if it had not stopped."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from offstride.field import LogitField
from offstride.models import Segmenter
from offstride.train import build_model, build_split, fit, read_history
from offstride.train.module import SegmentationModule
from offstride.train.recipe import recipe_to_dict

pytestmark = pytest.mark.slow

LOSSES = ("loss", "loss_main")


def weights(path):
    return Segmenter.load(path).state_dict()


def test_a_run_leaves_everything_behind(recipe, tmp_path):
    best = fit(recipe, tmp_path / "run")
    run = tmp_path / "run"
    assert best == run / "best.safetensors"
    assert {path.name for path in run.iterdir()} == {
        "recipe.yaml",
        "train.csv",
        "validation.csv",
        "best.safetensors",
        "last.safetensors",
        "last.ckpt",
        "tensorboard",
    }
    rows = read_history(run / "train.csv")
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert all(row["loss"] == pytest.approx(row["loss_main"]) and row["loss"] > 0 for row in rows)
    validation = read_history(run / "validation.csv")
    assert [row["step"] for row in validation] == [3, 6]
    assert all(0 <= row["miou"] <= row["pixel_accuracy"] <= 1 for row in validation)
    assert yaml.safe_load((run / "recipe.yaml").read_text())["schedule"]["steps"] == 8
    assert list((run / "tensorboard").iterdir())


MODELS = {
    "encnet": {"head": "encnet", "head_options": {"channels": 16, "codewords": 4}},
    "psp, GFF, DFP": {
        "head": "psp",
        "head_options": {"channels": 16},
        "fusion": "gff",
        "fusion_options": {"width": 8, "pyramid": True},
        "auxiliary": "layer3",
    },
    "DUpsampling": {
        "head": "dupsampling_decoder",
        "taps": ["layer1.0"],
        "head_options": {"channels": 16, "low_channels": 4, "low_level": ["layer1.0"]},
        "upsampler": "dupsampling",
        "upsampler_options": {"channels": 8},
    },
    "pixel shuffle": {"upsampler": "pixel_shuffle", "upsampler_options": {}},
}


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_of_model_trains(kind, recipe, change, tmp_path):
    plain = {"upsampler": "bilinear", "upsampler_options": {}}
    recipe = change(recipe, "model", **plain | MODELS[kind])
    recipe = change(change(recipe, "loss", location="none"), "schedule", steps=2)
    best = fit(recipe, tmp_path / "run")
    row = read_history(tmp_path / "run" / "train.csv")[-1]
    parts = [value for name, value in row.items() if name.startswith("loss_")]
    assert row["loss"] == pytest.approx(sum(parts))
    assert len(parts) == (2 if kind in ("encnet", "psp, GFF, DFP") else 1)  # the scene's classes, the auxiliary head
    assert Segmenter.load(best).config.head == recipe.model.head


@pytest.mark.parametrize("stop", [5, 6])  # between validations, and at one
def test_a_stopped_run_continues_exactly(recipe, change, tmp_path, monkeypatch, stop):
    recipe = change(recipe, "model", head_options={"channels": 16, "dropout": 0.5})
    fit(recipe, tmp_path / "whole")
    step = SegmentationModule.training_step

    def failing(self, batch, batch_idx):
        if self.global_step == stop:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", failing)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(recipe, tmp_path / "parts")
    monkeypatch.undo()
    torch.manual_seed(1234)  # whatever the state of the process
    fit(recipe, tmp_path / "parts", resume=True)

    for name, columns in (("train.csv", LOSSES), ("validation.csv", ("miou", "pixel_accuracy"))):
        whole, parts = (read_history(tmp_path / run / name) for run in ("whole", "parts"))
        for column in ("step", *columns):
            assert [row[column] for row in parts] == [row[column] for row in whole], (name, column)
    whole, parts = (weights(tmp_path / run / "last.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_killed_run_continues_exactly(recipe, change, tmp_path):
    """SIGKILL in mid-epoch, between checkpoints, with a loading process at work."""
    recipe = change(change(recipe, "data", workers=1), "schedule", steps=80, checkpoint_every=4, validate_every=80)
    fit(recipe, tmp_path / "whole")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe_to_dict(recipe)))
    command = ["train", str(tmp_path / "recipe.yaml"), "--output", str(tmp_path / "parts")]
    record = tmp_path / "parts" / "train.csv"
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # as here: the number of threads shows in the last bits
    process = subprocess.Popen([sys.executable, "-m", "offstride", *command], start_new_session=True, env=one_thread)
    while process.poll() is None and (not record.exists() or len(record.read_text().splitlines()) < 7):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    fit(recipe, tmp_path / "parts", resume=True)
    whole, parts = (read_history(tmp_path / run / "train.csv") for run in ("whole", "parts"))
    assert [(row["step"], row["loss"]) for row in parts] == [(row["step"], row["loss"]) for row in whole]


def test_resuming_without_a_run_starts_one(recipe, change, tmp_path):
    fit(change(recipe, "schedule", steps=1), tmp_path / "run", resume=True)
    assert len(read_history(tmp_path / "run" / "train.csv")) == 1


def test_a_finished_run_is_left_alone_by_resuming(recipe, change, tmp_path):
    recipe = change(recipe, "schedule", steps=3)
    fit(recipe, tmp_path / "run")
    before = {name: (tmp_path / "run" / name).read_text() for name in ("train.csv", "validation.csv")}
    fit(recipe, tmp_path / "run", resume=True)
    assert before == {name: (tmp_path / "run" / name).read_text() for name in before}


def test_a_directory_in_use_is_refused(recipe, change, tmp_path):
    recipe = change(recipe, "schedule", steps=1)
    fit(recipe, tmp_path / "run")
    with pytest.raises(ValueError, match="holds a run already"):
        fit(recipe, tmp_path / "run")
    other = change(recipe, "optimizer", learning_rate=0.5)
    with pytest.raises(ValueError, match=r"another recipe; different: optimizer\.learning_rate"):
        fit(other, tmp_path / "run", resume=True)


def test_where_a_run_goes_on_is_free(recipe, change, tmp_path):
    fit(change(recipe, "schedule", steps=2), tmp_path / "run")
    fit(change(change(recipe, "schedule", steps=2, log_every=2), "data", workers=1), tmp_path / "run", resume=True)


def test_training_lowers_the_loss(recipe, change, tmp_path):
    recipe = change(recipe, "schedule", steps=40, validate_every=40, checkpoint_every=40)
    fit(change(recipe, "data", count=2, scale=(1.0, 1.0)), tmp_path / "run")
    losses = [row["loss"] for row in read_history(tmp_path / "run" / "train.csv")]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


@pytest.mark.parametrize("part", ["backbone", "all"])
def test_frozen_norm_stays_frozen_through_training(recipe, change, tmp_path, part):
    recipe = change(recipe, "schedule", steps=4, freeze_norm=part)
    fit(recipe, tmp_path / "run")
    trained = weights(tmp_path / "run" / "last.safetensors")
    torch.manual_seed(recipe.schedule.seed)
    fresh = build_model(recipe, build_split(recipe.data, "train").classes).state_dict()
    running = [name for name in fresh if name.endswith(("running_mean", "running_var"))]
    for name in running:
        frozen = part == "all" or name.startswith("backbone")
        assert torch.equal(trained[name].float(), fresh[name]) == frozen, name


def test_models_that_differ_in_the_upsampler_start_from_the_same_weights(recipe, change):
    classes = build_split(recipe.data, "train").classes
    states = []
    for upsampler, options in (("bilinear", {}), ("lau", {"scale": 4, "hidden": 8})):
        torch.manual_seed(3)
        states.append(
            build_model(change(recipe, "model", upsampler=upsampler, upsampler_options=options), classes).state_dict()
        )
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert len(states[1]) == len(states[0]) + 4


def test_training_renders_no_full_resolution_scores(recipe, change, tmp_path, monkeypatch):
    def refuse(self):
        raise AssertionError("dense() was called")

    monkeypatch.setattr(LogitField, "dense", refuse)
    fit(change(recipe, "schedule", steps=3), tmp_path / "run")


def test_location_loss_without_offsets_is_refused(recipe, change, tmp_path):
    with pytest.raises(ValueError, match="location"):
        fit(change(recipe, "model", upsampler="bilinear", upsampler_options={}), tmp_path / "run")
