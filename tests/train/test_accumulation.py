"""Micro-batches: one after another they give what one batch gives."""

import pytest
import torch

from offstride.models import Segmenter
from offstride.ops.cross_entropy import operators
from offstride.train import ScheduleRecipe, fit, read_history
from offstride.train.module import SegmentationModule

pytestmark = pytest.mark.slow


def weights(path):
    return Segmenter.load(path / "last.safetensors").state_dict()


@pytest.fixture
def plain(recipe, change):
    """Crops beyond the image leave micro-batches with unequal numbers of valid pixels; plain SGD shows gradients."""
    recipe = change(recipe, "data", scale=(0.4, 1.5))
    recipe = change(recipe, "model", head_options={"channels": 16, "dropout": 0.0}, auxiliary="layer3")
    recipe = change(recipe, "schedule", steps=3, batch_size=4, validate_every=3, freeze_norm="all")
    return change(recipe, "optimizer", momentum=0.0)


@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_equal_the_batch(plain, change, tmp_path, parts, weighted, clip):
    if weighted:
        plain = change(plain, "loss", location="guided", class_weights=[1.0, 0.5, 2.0, 1.0, 3.0, 1.0, 0.1, 1.0, 1.0])
    plain = change(plain, "optimizer", clip=clip)
    fit(plain, tmp_path / "1")
    fit(change(plain, "schedule", accumulate=parts), tmp_path / "2")
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    for name, value in one.items():
        torch.testing.assert_close(
            two[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
    whole, parted = (read_history(tmp_path / name / "train.csv") for name in "12")
    assert [row["step"] for row in parted] == [1, 2, 3]
    for row, other in zip(whole, parted, strict=True):
        assert other == pytest.approx(row | {"seconds": other["seconds"]}, rel=1e-4)


def test_a_batch_without_valid_pixels_moves_nothing_but_its_count(plain, change, tmp_path, monkeypatch):
    """Half of the micro-batches hold nothing: the mean is over the other half."""
    step = SegmentationModule.training_step

    def half(self, batch, batch_idx):
        images, labels = batch
        labels = labels.clone()
        labels[2:] = 255
        return step(self, (images, labels), batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", half)
    fit(plain, tmp_path / "1")
    fit(change(plain, "schedule", accumulate=2), tmp_path / "2")
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    assert all(value.isfinite().all() for value in two.values())
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stop", [2, 3])
def test_a_stopped_run_in_micro_batches_continues_exactly(plain, change, tmp_path, monkeypatch, stop):
    recipe = change(plain, "model", head_options={"channels": 16, "dropout": 0.5})
    recipe = change(recipe, "schedule", steps=6, accumulate=2, validate_every=3, freeze_norm="none")
    recipe = change(recipe, "optimizer", momentum=0.9)
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
    torch.manual_seed(1234)
    fit(recipe, tmp_path / "parts", resume=True)
    whole, parts = (weights(tmp_path / run) for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    rates = [
        [(row["step"], row["learning_rate"], row["loss"]) for row in read_history(tmp_path / run / "train.csv")]
        for run in ("whole", "parts")
    ]
    assert rates[0] == rates[1]
    assert [step for step, *_ in rates[0]] == list(range(1, 7))


@pytest.mark.parametrize("parts", [1, 2])
def test_the_labels_of_a_micro_batch_are_looked_at_once(plain, change, tmp_path, monkeypatch, parts):
    looks, per_step = [], []
    look, step = operators.label_weight, SegmentationModule.training_step

    def counting_step(self, batch, batch_idx):
        before = len(looks)
        result = step(self, batch, batch_idx)
        per_step.append(len(looks) - before)
        return result

    monkeypatch.setattr(operators, "label_weight", lambda *given: looks.append(1) or look(*given))
    monkeypatch.setattr(SegmentationModule, "training_step", counting_step)
    fit(change(plain, "schedule", accumulate=parts), tmp_path)
    assert per_step == [parts] * 3


def test_parts_must_divide_the_batch():
    with pytest.raises(ValueError, match=r"batch_size: expected a multiple of the 8 parts .* got 12"):
        ScheduleRecipe(batch_size=12, accumulate=4, devices=2)
