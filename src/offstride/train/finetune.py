"""Fine-tuning: a new upsampler on an otherwise frozen model."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from offstride.data import ClassSet, SampleSet, normalize
from offstride.models import Segmenter
from offstride.opening import open_model, weights_file
from offstride.replace.choice import start_options
from offstride.replace.foreign import ForeignSegmenter
from offstride.train.fit import build_model
from offstride.train.recipe import ModelRecipe, Recipe
from offstride.upsamplers import UPSAMPLERS

ROUNDING = 1e-4
"""Largest difference of scores, relative to their range, that counts as rounding."""


def with_new_upsampler(
    checkpoint: str | Path,
    upsampler: str = "lau",
    options: Mapping[str, Any] | None = None,
    missing: Mapping[str, Any] = MappingProxyType({}),
) -> ModelRecipe:
    """A model with another upsampler, to be trained with `schedule.train_parts: [upsampler]`.

    All other parts start from the file. If LaU, DySample or the deformable convolution replaces bilinear upsampling,
    scores are initially those of the file, up to rounding; with other upsamplers they are similar. If the upsampler of
    the file was trained, scores initially differ.

    Args:
        checkpoint: File that `Segmenter.save` wrote, or another reference that `offstride.open_model` takes.
        upsampler: One of `offstride.upsamplers.UPSAMPLERS` that reads scores and has parameters.
        options: Options of it. By default the `origin` of the file's upsampler, zero offsets, and the factor to the
            image as `scale` (at most 8; beyond it offsets are interpolated).
        missing: `classes`, `mean` and `std` for a model of another library that does not have them.

    Raises:
        ValueError: If there is no such model or upsampler, or one of the upsamplers does not read scores.
    """
    trainable = ", ".join(name for name, kind in UPSAMPLERS.items() if kind.reads_scores and name != "bilinear")
    if upsampler not in UPSAMPLERS or upsampler == "bilinear":
        raise ValueError(f"upsampler: expected one of {trainable}, got {upsampler!r}")
    if not UPSAMPLERS[upsampler].reads_scores:
        raise ValueError(
            f"upsampler: {upsampler!r} classifies on its own and would drop the trained classifier; train a model with "
            f"it (model.start_parts: [backbone, head]), or choose one of {trainable}"
        )
    model = original_model(checkpoint, missing)
    if isinstance(model, ForeignSegmenter):
        config = model.with_upsampler(upsampler, options).config
        given = {name: value for name, value in _plain(missing).items() if value is not None}
        new = {"upsampler": upsampler, "upsampler_options": config.upsampler_options}
        return ModelRecipe(reference=str(checkpoint), reference_options=given, **new)
    path = weights_file(checkpoint)
    config, factor = model.config, model.head.out_stride
    if not UPSAMPLERS[config.upsampler].reads_scores:
        raise ValueError(
            f"checkpoint {checkpoint}: its upsampler {config.upsampler!r} classifies on its own, so there is no "
            "classifier for another one to stand behind"
        )
    origin = config.upsampler_options.get("origin", "center")
    options = start_options(upsampler, options or {}, origin, config.classes, factor)
    parts = {model.part_of(name) for name in model.state_dict()} - {"upsampler"}
    settings = config.settings() | {"upsampler": upsampler, "upsampler_options": options}
    return ModelRecipe(**settings, start=path, start_parts=sorted(parts))


def original_model(checkpoint: str | Path, missing: Mapping[str, Any]) -> Segmenter | ForeignSegmenter:
    """The model of a reference, whose upsampler can be exchanged.

    Raises:
        ValueError: If there is none, or it is an exported file, which has no parts.
    """
    model = open_model(checkpoint, **missing)
    if not isinstance(model, Segmenter | ForeignSegmenter):
        raise ValueError(f"model: expected one with parts, got the exported file {checkpoint}")
    return model


def _plain(missing: Mapping[str, Any]) -> dict[str, Any]:
    """What is missing, as a recipe holds it."""
    classes = missing.get("classes")
    if isinstance(classes, str | Path):
        classes = ClassSet.from_file(classes)
    return {**missing, "classes": classes.to_dict() if isinstance(classes, ClassSet) else classes}


@torch.no_grad()
def describe_start(
    recipe: Recipe, checkpoint: str | Path, dataset: SampleSet, missing: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Two lines: what will be trained, and by how much the scores of an image initially differ from the original's."""
    original, model = original_model(checkpoint, missing), build_model(recipe, dataset.classes).eval()
    image = normalize(dataset[0].image, model.mean, model.std)[None]
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
