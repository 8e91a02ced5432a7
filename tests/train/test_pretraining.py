"""The training of DUpsampling in its stages: a basis of the labels, regression to compressed labels (Eq. 4), then the
usual training from there (Eq. 5).
"""

import pytest
import torch

from offstride.losses import compressed_label_loss
from offstride.models import Segmenter
from offstride.train import ModelRecipe, build_model, build_split, fit, read_history
from offstride.upsamplers import fit_label_basis

pytestmark = pytest.mark.slow

MODEL = {
    "head": "dupsampling_decoder",
    "head_options": {"channels": 16},
    "upsampler": "dupsampling",
    "upsampler_options": {"channels": 6},
}


@pytest.fixture
def staged(recipe, change):
    recipe = change(recipe, "model", **MODEL)
    return change(change(recipe, "loss", location="none"), "schedule", steps=4, validate_every=4)


@pytest.fixture
def basis(staged, tmp_path):
    scenes = build_split(staged.data, "train")
    maps = (scenes[index].label for index in range(len(scenes)))
    path = tmp_path / "basis.safetensors"
    basis = fit_label_basis(maps, scale=16, classes=len(scenes.classes), channels=8)
    basis.save(path)
    return path, basis


def weights(path):
    return Segmenter.load(path).state_dict()


def test_pretraining_then_training(staged, change, basis, tmp_path):
    path, fitted = basis
    first = change(change(staged, "model", basis=path), "loss", compressed=0.01, main=False)
    fit(first, tmp_path / "first")
    rows = read_history(tmp_path / "first" / "train.csv")
    assert all(row["loss"] == pytest.approx(row["loss_compressed"]) and "loss_main" not in row for row in rows)
    regressed = weights(tmp_path / "first" / "last.safetensors")
    torch.testing.assert_close(regressed["upsampler.weight"], fitted.weight[..., :6], rtol=0, atol=0)
    torch.testing.assert_close(regressed["upsampler.bias"], fitted.mean, rtol=0, atol=0)
    assert regressed["upsampler.log_temperature"] == 0

    second = change(staged, "model", start=tmp_path / "first" / "last.safetensors")
    begun = build_model(second, build_split(second.data, "train").classes)
    assert all(torch.equal(value, regressed[name]) for name, value in begun.state_dict().items())
    fit(second, tmp_path / "second")
    assert set(read_history(tmp_path / "second" / "train.csv")[0]) >= {"loss", "loss_main"}
    trained = weights(tmp_path / "second" / "last.safetensors")
    assert not torch.equal(trained["upsampler.weight"], regressed["upsampler.weight"])


def test_regression_lowers_the_distance_to_the_compressed_labels(staged, change, basis, tmp_path):
    recipe = change(change(staged, "model", basis=basis[0]), "loss", compressed=0.01, main=False)
    recipe = change(change(recipe, "data", count=2, scale=(1.0, 1.0)), "optimizer", name="adamw", learning_rate=1e-3)
    recipe = change(recipe, "schedule", steps=40, validate_every=40, checkpoint_every=40)
    fit(recipe, tmp_path / "run")
    losses = [row["loss"] for row in read_history(tmp_path / "run" / "train.csv")]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_term_is_that_of_the_models_codes(staged, change, basis, tmp_path):
    """Of the size of the image's windows, beyond it there are none; the basis itself compresses in the same way."""
    recipe = change(staged, "model", basis=basis[0])
    model = build_model(recipe, build_split(recipe.data, "train").classes).eval()
    images, labels = torch.randn(2, 3, 40, 56), torch.randint(0, 9, (2, 40, 56))
    field = model.field(images)
    loss = compressed_label_loss(field.codes, labels, model.upsampler.weight, model.upsampler.bias)
    target = basis[1].first(6).encode(labels)
    torch.testing.assert_close(loss, (field.codes - target).square().sum(1).mean())


def test_a_start_brings_its_normalisation(staged, change, tmp_path):
    classes = build_split(staged.data, "train").classes
    model = build_model(staged, classes)
    model.config = type(model.config).from_dict(model.config.to_dict() | {"mean": (0.1, 0.2, 0.3)})
    model.save(tmp_path / "model.safetensors")
    begun = build_model(change(staged, "model", start=tmp_path / "model.safetensors"), classes)
    assert begun.mean == (0.1, 0.2, 0.3)
    assert begun.std == model.std


def test_what_does_not_fit_is_named(staged, change, basis, tmp_path):
    classes = build_split(staged.data, "train").classes
    build_model(staged, classes).save(tmp_path / "model.safetensors")
    for settings, message in (
        ({"basis": tmp_path / "none.safetensors"}, r"none\.safetensors: expected a safetensors file"),
        (
            {"basis": basis[0], "upsampler_options": {"channels": 9}},
            "channels: expected at least 9 as in the model, got 8",
        ),
        ({"basis": basis[0], "output_stride": 32}, "scale: expected 32 as in the model, got 16"),
        (
            {"basis": basis[0], "upsampler": "bilinear", "upsampler_options": {}},
            "basis: expected none for the upsampler",
        ),
        ({"start": basis[0]}, "holds tensors but no model"),
        ({"start": tmp_path / "model.safetensors", "head_options": {"channels": 8}}, "of another shape"),
        (
            {"start": tmp_path / "model.safetensors", "start_parts": ["decoder"]},
            "expected some of backbone, .* decoder",
        ),
        ({"start_parts": ["backbone"]}, "start_parts: expected start beside it, got backbone alone"),
    ):
        with pytest.raises(ValueError, match=message):
            build_model(change(staged, "model", **settings), classes)
    with pytest.raises(ValueError, match="basis: cannot be combined with `start`"):
        ModelRecipe(basis=basis[0], start=tmp_path / "model.safetensors")


def test_a_start_of_other_classes_is_refused(staged, change, tmp_path):
    classes = build_split(staged.data, "train").classes
    build_model(staged, classes).save(tmp_path / "model.safetensors")
    others = type(classes)(tuple(f"c{index}" for index in range(len(classes))))
    with pytest.raises(ValueError, match=r"model\.safetensors: classes: expected c0, c1"):
        build_model(change(staged, "model", start=tmp_path / "model.safetensors"), others)
