"""Training on Lightning, by recipes."""

from offstride.train.fit import build_model, build_split, fit
from offstride.train.recipe import Recipe

__all__ = ["Recipe", "build_model", "build_split", "fit"]
