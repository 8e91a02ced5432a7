"""Methods of a comparison: what they share, and how they are named."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from offstride.compare import Resampling
from offstride.data import build_dataset
from offstride.experiments.contest import Contest
from offstride.experiments.report import Scoring
from offstride.experiments.store import Store
from offstride.experiments.variants import VARIANTS, read_variant
from offstride.inference import InferenceProtocol
from offstride.models import Segmenter, create_model
from offstride.models.parts import UPSAMPLERS
from offstride.train import build_model, build_split

pytestmark = pytest.mark.slow

SHARED = "data: {name: streets}\nmodel: {head_options: {channels: 16}}\noptimizer: {name: adamw}\n"
SMALL = {
    "data.count": "6",
    "data.size": "[48,64]",
    "data.crop": "[48,64]",
    "data.workers": "0",
    "model.backbone": "mobilenetv2_035",
    "schedule.steps": "2",
}


def contest(recipe: Path, output: Path, names: list[str]) -> Contest:
    scoring = Scoring("val", InferenceProtocol(), Resampling())
    return Contest([read_variant(name) for name in names], 1, SMALL, [recipe], scoring, Store(output))


def test_all_methods_of_a_seed_start_from_the_same_weights(tmp_path):
    """And dropout, which draws after the weights, does not depend on how many there were."""
    recipe = tmp_path / "shared.yaml"
    recipe.write_text(SHARED)
    made = contest(recipe, tmp_path, [*VARIANTS])
    states = {}
    for variant in made.variants:
        stage = made.stages(variant, 0)[-1]
        torch.manual_seed(stage.schedule.seed)
        model = build_model(
            replace(stage, model=replace(stage.model, basis=None)), build_split(stage.data, "train").classes
        )
        states[variant.name] = model.state_dict()
    first = states["bilinear"]
    for name, state in states.items():
        shared = [key for key in first if key in state and not key.startswith(("upsampler.", "classifier."))]
        assert len(shared) > 100, name
        assert all(torch.equal(first[key], state[key]) for key in shared), name
        if UPSAMPLERS[name.partition("+")[0]].reads_scores:
            assert torch.equal(first["classifier.weight"], state["classifier.weight"]), name


def test_the_best_or_the_last_model_is_scored(tmp_path):
    """Both label every pixel alike, but not as the other does."""
    recipe = tmp_path / "shared.yaml"
    recipe.write_text(SHARED)
    made = contest(recipe, tmp_path, ["bilinear"])
    variant = made.variants[0]
    stage = made.stages(variant, 0)[-1]
    model = build_model(stage, build_split(stage.data, "train").classes)
    made.directory(variant, 0).mkdir(parents=True)
    torch.nn.init.zeros_(model.classifier.weight)
    for label, checkpoint in enumerate(("last", "best")):
        model.classifier.bias.data = torch.eye(9)[label]
        model.save(made.directory(variant, 0) / f"{checkpoint}.safetensors")
    for label, checkpoint in enumerate(("last", "best")):
        predicted = replace(made, checkpoint=checkpoint).counts(variant, 0).predicted[:, 0].sum(0)
        assert predicted[label] == predicted.sum() > 0


def test_upsamplers_by_name_and_by_file(tmp_path):
    assert read_variant("cascaded_lau").changes["model"]["upsampler"] == "cascaded_lau"
    path = tmp_path / "wide.yaml"
    path.write_text("model: {upsampler: lau, upsampler_options: {scale: 4}}\n")
    variant = read_variant(str(path))
    assert (variant.name, variant.changes["model"]["upsampler_options"]) == ("wide", {"scale": 4})
    with pytest.raises(ValueError, match=r"upsamplers: expected bilinear, .*got 'magic'"):
        read_variant("magic")


def test_a_method_changes_the_shared_recipe_and_settings_change_both(tmp_path):
    """Nothing is written before something is run."""
    recipe, wide = tmp_path / "shared.yaml", tmp_path / "wide.yaml"
    recipe.write_text(SHARED)
    wide.write_text("model: {upsampler: lau, head_options: {channels: 32}}\nschedule: {batch_size: 4}\n")
    made = contest(recipe, tmp_path / "runs", ["bilinear", str(wide)])
    first, second = (made.stages(variant, 3)[-1] for variant in made.variants)
    assert (second.model.upsampler, second.model.head_options, second.schedule.batch_size) == (
        "lau",
        {"channels": 32},
        4,
    )
    assert second.model.backbone == first.model.backbone == "mobilenetv2_035"
    assert second.schedule.seed == first.schedule.seed == 3
    assert made.to_do(made.variants[0], 0) == "train, score"
    assert not (tmp_path / "runs").exists()


def test_runs_are_found_where_earlier_versions_left_them(tmp_path):
    made = contest(tmp_path / "r.yaml", tmp_path, ["lau+off"])
    assert made.counted(made.variants[0], 2) == tmp_path / "lau+off" / "seed-2" / "counts-last-60c68fa3.npz"


def test_what_is_frozen_is_computed_once_for_all_methods(tmp_path, monkeypatch):
    start, recipe = tmp_path / "start.safetensors", tmp_path / "shared.yaml"
    settings = {"backbone": "mobilenetv2_035", "head_options": {"channels": 16}}
    create_model(**settings, classes=build_dataset("streets", "train").classes).save(start)
    parts = "[backbone, head, classifier]"
    recipe.write_text(
        "data: {name: streets, cache: true, val_count: 2}\n"
        "schedule: {train_parts: [upsampler], accelerator: cpu}\n"
        f"model: {{head_options: {{channels: 16}}, start: {start}, start_parts: {parts}}}\n"
    )
    images = []
    coarse = Segmenter.coarse
    monkeypatch.setattr(Segmenter, "coarse", lambda self, given: images.append(len(given)) or coarse(self, given))
    made = contest(recipe, tmp_path / "out", ["lau", "dysample"])
    for variant in made.variants:
        made.store.train(made.stages(variant, 0), made.directory(variant, 0), variant.name)
        images.append(None)
    lau, dysample = images[: images.index(None)], images[images.index(None) + 1 : -1]
    assert len(lau) == 2 + 6 * 2 + 2  # which maps are read, of each split; images as they are and mirrored; validation
    assert len(dysample) == 2
    assert {file.parent for file in (tmp_path / "out").rglob("*-scores.safetensors")} == {tmp_path / "out" / "cache"}
