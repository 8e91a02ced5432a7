"""Training on Lightning, by recipes."""

from offstride.train.finetune import with_new_upsampler
from offstride.train.fit import build_model, build_split, fit
from offstride.train.frozen import FrozenOutputs
from offstride.train.frozen_set import frozen_crops, frozen_images
from offstride.train.history import read_history
from offstride.train.processes import is_first_process
from offstride.train.recipe import DataRecipe, ModelRecipe, OptimizerRecipe, Recipe, ScheduleRecipe
from offstride.train.stages import fit_stages

__all__ = [
    "DataRecipe",
    "FrozenOutputs",
    "ModelRecipe",
    "OptimizerRecipe",
    "Recipe",
    "ScheduleRecipe",
    "build_model",
    "build_split",
    "fit",
    "fit_stages",
    "frozen_crops",
    "frozen_images",
    "is_first_process",
    "read_history",
    "with_new_upsampler",
]
