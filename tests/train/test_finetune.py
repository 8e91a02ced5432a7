"""A new upsampler on a model that stays as it is: what is frozen stays to the bit, and scores start as they were."""

from dataclasses import replace

import pytest
import torch

from offstride import create_model
from offstride.models import Segmenter
from offstride.train import build_model, build_split, fit, read_history, with_new_upsampler
from offstride.train.module import SegmentationModule
from offstride.train.optimizer import parameter_groups

pytestmark = pytest.mark.slow

FUSED = {
    "head": "psp",
    "head_options": {"channels": 16},
    "fusion": "gff",
    "fusion_options": {"width": 8},
    "auxiliary": "layer3",
}


def untidy(model):
    """Batch statistics and biases as training leaves them, so that nothing is equal by chance."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "running_var", "bias")):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model


@pytest.fixture
def original(recipe, tmp_path):
    """Path of a bilinear model with dropout and an auxiliary head."""
    torch.manual_seed(5)
    settings = {"backbone": "test_resnet", "auxiliary": "layer3", "head_options": {"channels": 16, "dropout": 0.5}}
    path = tmp_path / "original.safetensors"
    untidy(create_model(**settings, classes=build_split(recipe.data, "train").classes)).save(path)
    return path


@pytest.fixture
def frozen(recipe, change, original):
    """A recipe that trains LaU alone."""
    recipe = replace(recipe, model=with_new_upsampler(original, "lau", {"hidden": 8}))
    recipe = change(recipe, "loss", location="none")
    return change(change(recipe, "schedule", train_parts=["upsampler"]), "optimizer", name="adamw", weight_decay=0.1)


def test_frozen_parts_stay_to_the_bit(frozen, original, tmp_path):
    fit(frozen, tmp_path / "run")
    before, after = (Segmenter.load(path).state_dict() for path in (original, tmp_path / "run" / "last.safetensors"))
    assert after.keys() - before.keys() == {name for name in after if name.startswith("upsampler.")}
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert after["upsampler.vertical.2.weight"].abs().max() > 0
    rows = read_history(tmp_path / "run" / "train.csv")
    assert "loss_layer3" not in rows[0]  # of an auxiliary head that cannot learn
    assert rows[0]["loss"] == pytest.approx(rows[0]["loss_main"])


@pytest.mark.parametrize("origin", ["center", "aligned"])
@pytest.mark.parametrize("upsampler", ["lau", "dysample", "deformable"])
def test_scores_start_as_they_were(recipe, tmp_path, upsampler, origin):
    """At any size and for a convention that is not ours by default."""
    classes, path = build_split(recipe.data, "train").classes, tmp_path / "m.safetensors"
    settings = {"backbone": "test_resnet", "head_options": {"channels": 16}, "upsampler_options": {"origin": origin}}
    model = untidy(create_model(**settings, classes=classes)).eval()
    model.save(path)
    began = build_model(replace(recipe, model=with_new_upsampler(path, upsampler)), classes).eval()
    images = torch.randn(2, 3, 45, 70)
    with torch.no_grad():
        expected, actual = model(images), began(images)
    assert torch.allclose(actual, expected, atol=1e-5 * float(expected.max() - expected.min()))
    assert sum(parameter.numel() for parameter in began.upsampler.parameters()) > 0


def test_no_gradient_reaches_what_is_frozen(frozen, original):
    classes = build_split(frozen.data, "train").classes
    module = SegmentationModule(build_model(frozen, classes), frozen, None, build_split(frozen.data, "val"))
    module.train()
    model = module.model
    assert not any(part.training for part in (model.backbone, *model.head.modules(), *model.auxiliary.modules()))
    assert model.upsampler.training
    decoded = model.head(model.backbone(torch.randn(2, 3, 32, 48)))
    assert not decoded.requires_grad
    losses = module.losses(torch.randn(2, 3, 32, 48), torch.zeros(2, 32, 48, dtype=torch.uint8), None)
    losses["loss"].backward()
    assert {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None} == {"upsampler"}
    groups = parameter_groups(model, frozen.optimizer, frozen.schedule.train_parts)
    assert sum(len(group["params"]) for group in groups) == len(list(model.upsampler.parameters()))


def test_the_loss_falls(frozen, change, tmp_path):
    """Even of random scores: offsets find better places for them."""
    recipe = change(frozen, "schedule", steps=40, validate_every=40, checkpoint_every=40)
    recipe = change(recipe, "data", count=1, scale=(1.0, 1.0), flip=0.0, crop=(40, 56))
    fit(recipe, tmp_path / "run")
    losses = [row["loss"] for row in read_history(tmp_path / "run" / "train.csv")]
    assert losses[-1] < 0.9 * losses[0]


def test_a_stopped_run_continues_exactly(frozen, tmp_path, monkeypatch):
    fit(frozen, tmp_path / "whole")
    step = SegmentationModule.training_step

    def failing(self, batch, batch_idx):
        if self.global_step == 5:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", failing)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(frozen, tmp_path / "parts")
    monkeypatch.undo()
    fit(frozen, tmp_path / "parts", resume=True)
    whole, parts = (Segmenter.load(tmp_path / run / "last.safetensors").state_dict() for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("parts", [["head"], ["fusion", "classifier"], ["auxiliary"]])
def test_any_parts_can_be_trained(recipe, change, tmp_path, parts):
    """A fusion holds its head; both are parts of their own."""
    recipe = change(recipe, "model", **FUSED, upsampler="bilinear", upsampler_options={})
    recipe = change(recipe, "loss", location="none")
    recipe = change(recipe, "schedule", steps=2, train_parts=parts)
    torch.manual_seed(recipe.schedule.seed)
    fresh = build_model(recipe, build_split(recipe.data, "train").classes)
    fit(recipe, tmp_path / "run")
    after = Segmenter.load(tmp_path / "run" / "last.safetensors").state_dict()
    changed = {
        fresh.part_of(name) for name, tensor in fresh.state_dict().items() if not torch.equal(tensor, after[name])
    }
    assert changed == set(parts)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["decoder"], "train_parts: expected some of backbone, .* got decoder"),
        (["fusion"], "train_parts: the model has no weights in fusion"),
    ],
)
def test_parts_that_are_not_there_are_refused(frozen, change, tmp_path, parts, said):
    with pytest.raises(ValueError, match=said):
        fit(change(frozen, "schedule", train_parts=parts), tmp_path / "run")


@pytest.mark.parametrize(
    ("upsampler", "said"),
    [
        ("lua", "upsampler: expected one of carafe, .* got 'lua'"),
        ("bilinear", "got 'bilinear'"),
        ("dupsampling", "'dupsampling' classifies on its own and would drop the trained classifier"),
        ("pixel_shuffle", "'pixel_shuffle' classifies on its own"),
    ],
)
def test_upsamplers_that_have_no_use_for_it_are_refused(original, upsampler, said):
    with pytest.raises(ValueError, match=said):
        with_new_upsampler(original, upsampler)


def test_a_model_without_a_classifier_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    create_model(backbone="test_resnet", upsampler="pixel_shuffle", head_options={"channels": 8}, classes=3).save(path)
    with pytest.raises(ValueError, match=r"m\.safetensors: its upsampler 'pixel_shuffle' classifies on its own"):
        with_new_upsampler(path)
