"""Runs with `data.cache`: the same losses and scores as without, to the end of an interrupted run too."""

import re
from dataclasses import replace

import pytest
import torch

from offstride import create_model
from offstride.models import Segmenter
from offstride.train import build_split, fit, read_history, with_new_upsampler
from offstride.train.frozen import FrozenOutputs
from offstride.train.module import SegmentationModule

pytestmark = pytest.mark.slow


@pytest.fixture
def frozen(recipe, change, tmp_path):
    """A recipe that trains LaU alone, on crops of the size of the images, without a cache."""
    torch.manual_seed(5)
    path = tmp_path / "original.safetensors"
    settings = {"backbone": "test_resnet", "auxiliary": "layer3", "head_options": {"channels": 16, "dropout": 0.5}}
    create_model(**settings, classes=build_split(recipe.data, "train").classes).save(path)
    recipe = replace(recipe, model=with_new_upsampler(path, "lau", {"hidden": 8, "guide_stride": 4}))
    recipe = change(recipe, "data", crop=(40, 56), scale=(1.0, 1.0))
    return change(recipe, "schedule", train_parts=["upsampler"])


def losses(directory):
    return [row["loss"] for row in read_history(directory / "train.csv")]


@pytest.mark.parametrize(("batch", "parts"), [(1, 1), (2, 1), (4, 2)])
def test_losses_and_scores_are_those_without_a_cache(frozen, change, tmp_path, batch, parts):
    plain = change(frozen, "schedule", batch_size=batch, accumulate=parts)
    cached = change(plain, "data", cache=True)
    for name, recipe in (("plain", plain), ("cached", cached)):
        fit(recipe, tmp_path / name)
    expected, actual = losses(tmp_path / "plain"), losses(tmp_path / "cached")
    assert len(expected) == 8
    assert actual[0] == pytest.approx(expected[0], rel=1e-6)
    assert actual == (expected if batch == 1 else pytest.approx(expected, rel=1e-3))
    scores = [read_history(tmp_path / name / "validation.csv") for name in ("plain", "cached")]
    assert [row["miou"] for row in scores[1]] == pytest.approx([row["miou"] for row in scores[0]], abs=1e-3)
    models = [Segmenter.load(tmp_path / name / "last.safetensors").state_dict() for name in ("plain", "cached")]
    worst = max(float((models[1][name] - value).abs().max()) for name, value in models[0].items())
    assert worst < (1e-6 if batch == 1 else 1e-3)


def test_the_network_runs_once_for_each_image(frozen, change, tmp_path, monkeypatch, capsys):
    calls = []
    forward = Segmenter.coarse

    def counted(self, images):
        calls.append(images.shape[0])
        return forward(self, images)

    monkeypatch.setattr(Segmenter, "coarse", counted)
    monkeypatch.setattr(Segmenter, "decode", lambda *_: pytest.fail("the frozen parts run in a step"))
    recipe = change(change(frozen, "data", cache=True, flip=0.0), "schedule", steps=30, validate_every=10)
    fit(recipe, tmp_path / "run")
    assert sum(calls) == 7 + 3 + 2  # images of both splits, and once for each which maps are read
    assert len({file.name.split("-")[0] for file in (tmp_path / "run" / "cache").iterdir()}) == 7 + 3
    told = capsys.readouterr().err
    assert re.search(r"cache: training images at scale 1: 7 maps computed, 0 found in \S+cache", told)


def test_a_stopped_run_continues_exactly(frozen, change, tmp_path, monkeypatch):
    """With crops, scales and mirrored images, and the cache in another place."""
    recipe = change(frozen, "data", cache=True, crop=(32, 48), cache_scales=[1.0, 1.5])
    fit(recipe, tmp_path / "whole")
    step = SegmentationModule.training_step

    def failing(self, batch, batch_idx):
        if self.global_step == 5:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", failing)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(recipe, tmp_path / "parts")
    monkeypatch.undo()
    fit(change(recipe, "data", cache_dir=tmp_path / "elsewhere"), tmp_path / "parts", resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert len(set(losses(tmp_path / "whole"))) == 8


def test_a_folder_that_runs_share(frozen, change, tmp_path, capsys):
    recipe = change(frozen, "data", cache=True, cache_dir=tmp_path / "shared")
    fit(recipe, tmp_path / "first")
    other = change(change(recipe, "schedule", seed=1), "model", upsampler="sapa", upsampler_options={"embedding": 8})
    capsys.readouterr()
    fit(change(other, "loss", location="none"), tmp_path / "second")
    assert "14 found" in capsys.readouterr().err
    assert not (tmp_path / "second" / "cache").exists()


def test_frozen_parts_are_told_by_the_loss_of_a_changed_start(frozen, change, tmp_path):
    """A run in the same folder from another model computes its own outputs."""
    recipe = change(frozen, "data", cache=True, cache_dir=tmp_path / "shared")
    fit(recipe, tmp_path / "first")
    model = Segmenter.load(frozen.model.start)
    model.state_dict()["classifier.weight"][0] += 0.1
    model.save(frozen.model.start)
    fit(recipe, tmp_path / "second")
    fit(change(recipe, "data", cache=False, cache_dir=None), tmp_path / "plain")
    assert losses(tmp_path / "second") == pytest.approx(losses(tmp_path / "plain"), rel=1e-5)
    assert losses(tmp_path / "second") != pytest.approx(losses(tmp_path / "first"), rel=1e-3)


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("data", {"jitter": 0.3}, "jitter: expected 0 with data.cache, because .*, got 0.3"),
        ("data", {"hue": 0.1}, "hue: expected 0"),
        ("data", {"blur": 0.5}, "blur: expected 0"),
        ("data", {"cache_scales": []}, "cache_scales: expected one or more numbers above 0"),
        ("data", {"cache_scales": [0.0, 1.0]}, "cache_scales: expected one or more numbers above 0"),
        ("schedule", {"train_parts": []}, "data.cache: expected .*, got the whole model"),
        ("schedule", {"train_parts": ["head", "upsampler"]}, "data.cache: expected .*, got .head, upsampler"),
    ],
)
def test_settings_that_do_not_fit_a_cache(frozen, change, section, settings, message):
    cached = change(frozen, "data", cache=True)
    with pytest.raises(ValueError, match=message):
        change(cached, section, **settings)


def test_crops_off_the_grid_end_the_run_before_its_first_step(frozen, change, tmp_path):
    recipe = change(frozen, "data", cache=True, crop=(32, 40))
    with pytest.raises(ValueError, match="crop: expected a length on the grid of stride 16"):
        fit(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "last.ckpt").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_are_kept_in_the_precision_of_the_model(frozen, dtype):
    scenes = build_split(frozen.data, "train")
    model = Segmenter.load(frozen.model.start).to(dtype)
    outputs = FrozenOutputs(model, scenes[0].image)
    key = outputs.keep(scenes[0].image, scenes[0].label)
    assert outputs.store.read(key, "scores").dtype == dtype
