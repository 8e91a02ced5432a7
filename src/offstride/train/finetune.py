"""A new upsampler on a model that stays as it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from offstride.data import EvalTransform, SampleSet
from offstride.models import Segmenter
from offstride.replace.choice import start_options
from offstride.train.fit import build_model
from offstride.train.recipe import ModelRecipe, Recipe
from offstride.upsamplers import UPSAMPLERS

ROUNDING = 1e-4
"""Largest difference of scores, as a share of their range, that is rounding."""


def with_new_upsampler(
    checkpoint: str | Path, upsampler: str = "lau", options: Mapping[str, Any] | None = None
) -> ModelRecipe:
    """The model of a file with another upsampler, to be trained with `schedule.train_parts: [upsampler]`.

    All other parts start from the file. In place of bilinear upsampling LaU, DySample and the deformable convolution
    start as that, so that scores are the file's at first, up to rounding; others start near it, and in place of an
    upsampler that has been trained all start anew.

    Args:
        checkpoint: File that `Segmenter.save` wrote.
        upsampler: One of `offstride.upsamplers.UPSAMPLERS` that reads scores and has parameters.
        options: Options of it. Unless given: the `origin` of the file's upsampler, zero offsets, and the factor to the
            image as `scale` (8 at most; beyond it offsets are interpolated).

    Raises:
        ValueError: If there is no such model or upsampler, or if either has no use for a classifier between them.
    """
    if upsampler not in UPSAMPLERS or upsampler == "bilinear":
        raise ValueError(f"upsampler: expected one of {', '.join(_trainable())}, got {upsampler!r}")
    if not UPSAMPLERS[upsampler].reads_scores:
        raise ValueError(
            f"upsampler: {upsampler!r} classifies on its own and would drop the trained classifier; train a model with "
            f"it (model.start_parts: [backbone, head]), or choose one of {', '.join(_trainable())}"
        )
    model = Segmenter.load(checkpoint)
    if not UPSAMPLERS[model.config.upsampler].reads_scores:
        raise ValueError(
            f"checkpoint {checkpoint}: its upsampler {model.config.upsampler!r} classifies on its own, so there is no "
            "classifier for another one to stand behind"
        )
    return _recipe(model, Path(checkpoint), upsampler, options or {})


def _trainable() -> list[str]:
    return [name for name, kind in UPSAMPLERS.items() if kind.reads_scores and name != "bilinear"]


def _recipe(model: Segmenter, checkpoint: Path, upsampler: str, options: Mapping[str, Any]) -> ModelRecipe:
    config = model.config
    origin = config.upsampler_options.get("origin", "center")
    kept = {model.part_of(name) for name in model.state_dict()} - {"upsampler"}
    settings = config.settings() | {
        "upsampler": upsampler,
        "upsampler_options": start_options(upsampler, options, origin, config.classes, model.head.out_stride),
    }
    return ModelRecipe(**settings, start=checkpoint, start_parts=sorted(kept))


@torch.no_grad()
def describe_start(recipe: Recipe, checkpoint: Path, dataset: SampleSet) -> str:
    """Two lines: what will be trained, and how far the scores of an image are from those of the original at first."""
    original, model = Segmenter.load(checkpoint), build_model(recipe, dataset.classes).eval()
    image = EvalTransform(model.mean, model.std)(dataset[0])[0][None]
    expected = original(image)
    difference = (model(image) - expected).abs().max()
    settings = ", ".join(f"{name}={value!r}" for name, value in recipe.model.upsampler_options.items())
    trained = sum(parameter.numel() for parameter in model.upsampler.parameters())
    equal = difference <= ROUNDING * (expected.max() - expected.min())
    return (
        f"upsampler  {recipe.model.upsampler}({settings}), {trained:,} parameters, in place of "
        f"{original.config.upsampler}; all else is frozen\n"
        f"at start   {'equals' if equal else 'differs from'} the original (largest difference {difference:.1e})"
    )
