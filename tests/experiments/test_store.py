"""What is in a folder is not done again, and is found under the names of earlier versions."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from offstride.experiments import store as module
from offstride.experiments.setting import Setting
from offstride.experiments.store import Store, digest, kept
from offstride.files import write_text
from offstride.train import DataRecipe, ModelRecipe, Recipe, ScheduleRecipe
from offstride.upsamplers import LabelBasis

RECIPE = Recipe(
    data=DataRecipe(name="streets", count=3, val_count=1, size=(40, 56), crop=(32, 32), workers=0),
    model=ModelRecipe(backbone="test_resnet", upsampler="dupsampling", upsampler_options={"channels": 4}),
    schedule=ScheduleRecipe(steps=1, batch_size=2),
)


@pytest.fixture
def trained(monkeypatch):
    """Stages and directories of trainings, which are not run."""
    runs = []

    def fit_stages(stages, directory, *, resume):
        runs.append((stages, directory))
        directory.mkdir(parents=True)
        (directory / "last.safetensors").touch()

    monkeypatch.setattr(module, "fit_stages", fit_stages)
    return runs


def test_a_finished_run_is_not_trained_again_and_the_basis_is_fitted_once(trained, tmp_path):
    said = []
    store = Store(tmp_path, announce=said.append)
    for name in ("a", "b", "a"):
        store.train([RECIPE], tmp_path / name, name)
    file = tmp_path / "bases" / "streets-train-16-4.safetensors"
    assert said == ["training a", f"fitting {file}", "training b"]
    assert [directory.name for _, directory in trained] == ["a", "b"]
    assert trained[0][0] == [replace(RECIPE, model=replace(RECIPE.model, basis=file))]
    assert LabelBasis.load(file).channels == 4


def test_other_upsamplers_and_those_that_start_from_a_run_need_no_basis(trained, tmp_path):
    plain = replace(RECIPE, model=replace(RECIPE.model, upsampler="lau", upsampler_options={}))
    later = replace(RECIPE, model=replace(RECIPE.model, start=Path("a.safetensors")))
    Store(tmp_path).train([plain, later], tmp_path / "run", "run")
    assert trained[0][0] == [plain, later]
    assert not (tmp_path / "bases").exists()


def test_runs_share_outputs_of_frozen_parts(trained, tmp_path):
    cached = replace(
        RECIPE,
        data=replace(RECIPE.data, cache=True),
        model=replace(RECIPE.model, upsampler="lau", upsampler_options={}),
        schedule=replace(RECIPE.schedule, train_parts=["upsampler"]),
    )
    own = replace(cached, data=replace(cached.data, cache_dir=tmp_path / "own"))
    for name, recipe in (("a", cached), ("b", cached), ("c", own)):
        Store(tmp_path).train([recipe], tmp_path / name, name)
    folders = [stages[0].data.cache_dir for stages, _ in trained]
    assert folders == [tmp_path / "cache", tmp_path / "cache", tmp_path / "own"]


def test_a_run_by_another_recipe_is_refused(trained, tmp_path):
    store = Store(tmp_path)
    store.train([RECIPE], tmp_path / "run", "run")
    (tmp_path / "run" / "recipe.yaml").write_text("optimizer: {learning_rate: 7.0}")
    with pytest.raises(ValueError, match=r"holds a run by another recipe; different: .*optimizer\.learning_rate"):
        store.train([RECIPE], tmp_path / "run", "run")


def test_several_processes_are_started_by_the_command_line(monkeypatch, tmp_path):
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, returncode=len(commands) - 1)

    monkeypatch.setattr(subprocess, "run", run)
    recipe = replace(RECIPE, model=ModelRecipe(), schedule=ScheduleRecipe(devices=2))
    store, directory = Store(tmp_path), tmp_path / "run"
    store.train([recipe], directory, "run")
    file = tmp_path / "run.yaml"
    assert commands == [[sys.executable, "-m", "offstride", "train", str(file), "--output", str(directory), "--resume"]]
    assert yaml.safe_load(file.read_text())["schedule"]["devices"] == 2
    with pytest.raises(ValueError, match="ended with code 1"):
        store.train([recipe], directory, "run")
    with pytest.raises(ValueError, match=r"schedule\.devices: expected 1 for a recipe that comes after another"):
        store.train([recipe, recipe], directory, "run")


def test_what_is_kept_is_made_once(tmp_path):
    for text in ("first", "second"):
        path = kept(tmp_path / "deep" / "scores.json", lambda path, text=text: write_text(path, text))
        assert path.read_text() == "first"


def test_names_of_ways_are_those_of_earlier_versions():
    assert digest({"b": [1, None], "a": "x"}) == digest({"a": "x", "b": [1, None]}) == "8ea2c0f3"
    assert digest([{"b": 1, "a": 2}], 12, sort_keys=False) == "433b779502ff"
    assert Setting({"data.crop": "[8,8]"}).folder == "changed-a891940e"
    assert Setting({"data.workers": "3"}).folder == "published"
