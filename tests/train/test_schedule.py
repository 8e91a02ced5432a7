"""How long a run is, and what batch normalisation does in it."""

import pytest
from torch import nn

from offstride.train import ScheduleRecipe, build_model, build_split, fit, read_history
from offstride.train.module import SegmentationModule


@pytest.mark.parametrize(
    ("epochs", "images", "batch", "steps"),
    [(80, 4998, 16, 24990), (180, 20210, 16, 227362), (1, 10582, 16, 661), (0.001, 7, 16, 1), (1, 7, 4, 2)],
)
def test_epochs_become_steps(epochs, images, batch, steps):
    schedule = ScheduleRecipe(epochs=epochs, batch_size=batch, steps=5, validate_every=1000)
    resolved = schedule.for_images(images)
    assert (resolved.steps, resolved.validate_every) == (steps, min(1000, steps))


def test_steps_stay_steps():
    schedule = ScheduleRecipe(steps=7)
    assert schedule.for_images(1000) is schedule
    assert schedule.validate_every == 7


def test_a_run_of_epochs(recipe, change, tmp_path):
    recipe = change(recipe, "schedule", epochs=2.0, batch_size=2, validate_every=250)
    fit(recipe, tmp_path / "run")
    assert [row["step"] for row in read_history(tmp_path / "run" / "train.csv")] == list(range(1, 8))  # 2 · 7 / 2
    rates = [row["learning_rate"] for row in read_history(tmp_path / "run" / "train.csv")]
    assert rates[-1] == 0
    assert [row["step"] for row in read_history(tmp_path / "run" / "validation.csv")] == [7]
    fit(recipe, tmp_path / "run", resume=True)


def test_repeated_images_lengthen_an_epoch(recipe, change):
    data = change(recipe, "data", repeat=["car"], repeats=3).data
    train, val = build_split(data, "train"), build_split(data, "val")
    with_cars = sum(bool((train[index].label == train.classes.names.index("car")).any()) for index in range(7))
    assert len(train) == 7 + 2 * with_cars
    assert len(val) == 3


def test_the_momentum_of_normalisation_can_be_set(recipe, change):
    recipe = change(recipe, "schedule", norm_momentum=0.0003)
    classes = build_split(recipe.data, "train")
    model = build_model(recipe, classes.classes)
    SegmentationModule(model, recipe, classes, classes)
    momenta = {layer.momentum for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)}
    assert momenta == {0.0003}


@pytest.mark.parametrize("field", ["steps", "epochs", "batch_size", "accumulate", "devices"])
def test_counts_must_be_positive(field):
    with pytest.raises(ValueError, match=f"{field}: expected a number above 0, got 0"):
        ScheduleRecipe(**{field: 0})
