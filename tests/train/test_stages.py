"""Training in stages: DeepLabv3's output stride 16 with training normalisation, then 8 with frozen normalisation."""

import pytest
import torch

from offstride.models import Segmenter
from offstride.train import build_model, build_split, fit, fit_stages, read_history
from offstride.train.module import SegmentationModule

pytestmark = pytest.mark.slow


def weights(path):
    return Segmenter.load(path / "last.safetensors").state_dict()


@pytest.fixture
def stages(recipe, change):
    first = change(recipe, "schedule", steps=4, validate_every=4)
    second = change(first, "model", output_stride=8)
    second = change(change(second, "schedule", steps=3, freeze_norm="all"), "optimizer", learning_rate=0.001)
    return [first, second]


def test_a_model_goes_on_at_another_stride_with_frozen_normalisation(stages, tmp_path):
    best = fit_stages(stages, tmp_path / "run")
    assert best == tmp_path / "run" / "best.safetensors"
    before, after = weights(tmp_path / "run" / "before"), weights(tmp_path / "run")
    assert before.keys() == after.keys()
    statistics = [name for name in before if "running_" in name or "num_batches" in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    strides = [
        Segmenter.load(tmp_path / name / "last.safetensors").config.output_stride for name in ("run/before", "run")
    ]
    assert strides == [16, 8]


def test_the_later_stage_begins_with_the_last_weights_of_the_earlier(stages, change, tmp_path):
    fit_stages(stages, tmp_path / "run")
    start = change(stages[1], "model", start=tmp_path / "run" / "before" / "last.safetensors")
    begun = build_model(start, build_split(start.data, "train").classes).state_dict()
    before = weights(tmp_path / "run" / "before")
    assert begun.keys() == before.keys()
    assert all(torch.equal(begun[name].float(), before[name].float()) for name in begun)
    fit(start, tmp_path / "alone")
    alone, staged = weights(tmp_path / "alone"), weights(tmp_path / "run")
    assert all(torch.equal(alone[name], staged[name]) for name in alone)


def test_resuming_works_at_any_point_of_either_stage(stages, change, tmp_path, monkeypatch):
    """Stopped before the first step of a stage and within it, time and again."""
    stages = [change(recipe, "schedule", checkpoint_every=1) for recipe in stages]
    fit_stages(stages, tmp_path / "whole")
    step = SegmentationModule.training_step
    stops = [(16, 3), (8, 0), (8, 2)]

    def failing(self, batch, batch_idx):
        if stops and stops[0] == (self.model.config.output_stride, self.global_step):
            stops.pop(0)
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", failing)
    for attempt in range(3):
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit_stages(stages, tmp_path / "parts", resume=attempt > 0)
        with pytest.raises(ValueError, match="holds a run already"):
            fit_stages(stages, tmp_path / "parts")
    fit_stages(stages, tmp_path / "parts", resume=True)
    for place in ("before", "."):
        whole, parts = (tmp_path / run / place for run in ("whole", "parts"))
        assert [row["loss"] for row in read_history(parts / "train.csv")] == [
            row["loss"] for row in read_history(whole / "train.csv")
        ]
        assert all(torch.equal(value, weights(parts)[name]) for name, value in weights(whole).items())


def test_a_finished_stage_stays_as_it_is(stages, change, tmp_path, monkeypatch):
    fit(stages[0], tmp_path / "run" / "before")
    trained = []
    step = SegmentationModule.training_step

    def noting(self, batch, batch_idx):
        trained.append(self.model.config.output_stride)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", noting)
    fit_stages(stages, tmp_path / "run", resume=True)
    assert trained == [8, 8, 8]
    other = [change(stages[0], "optimizer", learning_rate=0.5), stages[1]]
    with pytest.raises(ValueError, match=r"before holds a run by another recipe; different: optimizer\.learning_rate"):
        fit_stages(other, tmp_path / "run", resume=True)


def test_a_fusion_is_trained_after_the_model_without_it(recipe, change, tmp_path, monkeypatch):
    """GFF, Table 1: the parts that are named are taken over, the others are as fresh as without the first training."""
    first = change(change(recipe, "model", head="psp", upsampler="bilinear", upsampler_options={}), "schedule", steps=1)
    first = change(first, "loss", location="none")
    gff = {"fusion": "gff", "fusion_options": {"width": 4}}
    second = change(first, "model", **gff, start_parts=["backbone", "head"])
    begun = []

    def noting(self):
        begun.append({name: value.clone() for name, value in self.model.state_dict().items()})

    monkeypatch.setattr(SegmentationModule, "on_train_start", noting)
    fit_stages([first, second], tmp_path / "run")
    fit(change(first, "model", **gff), tmp_path / "fresh")
    trained = weights(tmp_path / "run" / "before")
    _, started, fresh = begun
    for name, value in started.items():
        if name.startswith(("backbone.", "head.context.")):
            assert torch.equal(value, trained[name.replace("head.context.", "head.")])
        else:
            assert torch.equal(value, fresh[name])


def test_three_stages_lie_in_each_other(stages, change, tmp_path):
    stages = [change(recipe, "schedule", steps=1) for recipe in (stages[0], stages[0], stages[1])]
    fit_stages(stages, tmp_path / "run")
    for place in ("run", "run/before", "run/before/before"):
        assert (tmp_path / place / "last.safetensors").exists()
