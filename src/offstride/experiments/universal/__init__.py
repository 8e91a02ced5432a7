"""Weights of universal upsampling: pictures, simulated coarse scores, the fit."""

from offstride.experiments.universal.fit import Progress, UniversalRecipe, fit_universal

__all__ = ["Progress", "UniversalRecipe", "fit_universal"]
