"""Training on Lightning, by recipes."""

from offstride.train.fit import build_model, build_split, fit, is_first_process
from offstride.train.history import read_history
from offstride.train.recipe import DataRecipe, ModelRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

__all__ = [
    "DataRecipe",
    "ModelRecipe",
    "OptimizerRecipe",
    "Recipe",
    "ScheduleRecipe",
    "build_model",
    "build_split",
    "fit",
    "is_first_process",
    "read_history",
]
