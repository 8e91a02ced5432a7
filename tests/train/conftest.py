"""A training run small enough for a test: tiny scenes, a tiny network, a few steps."""

from dataclasses import replace

import pytest

from offstride.losses import LossConfig
from offstride.train import DataRecipe, ModelRecipe, OptimizerRecipe, Recipe, ScheduleRecipe


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        data=DataRecipe(name="streets", count=7, val_count=3, size=(40, 56), crop=(32, 48), workers=0),
        model=ModelRecipe(
            backbone="test_resnet",
            upsampler="lau",
            upsampler_options={"scale": 4, "hidden": 8},
            head_options={"channels": 16},
        ),
        loss=LossConfig(location="regression"),
        optimizer=OptimizerRecipe(learning_rate=0.01),
        schedule=ScheduleRecipe(
            steps=8, batch_size=2, validate_every=3, checkpoint_every=2, log_every=1, accelerator="cpu"
        ),
    )


@pytest.fixture
def change():
    """Replace settings of one section of a recipe."""

    def changed(recipe: Recipe, section: str, **settings: object) -> Recipe:
        return replace(recipe, **{section: replace(getattr(recipe, section), **settings)})

    return changed
