"""Sharper masks from a trained model: the universal upsampler in place of its own, without training."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from offstride.models import Segmenter
from offstride.models.parts import build_upsampler
from offstride.replace.choice import start_options
from offstride.replace.compare import evaluating
from offstride.replace.foreign import ForeignSegmenter
from offstride.replace.replace import Example, replace_upsampling
from offstride.upsamplers import UPSAMPLERS
from offstride.upsamplers.universal import fitted_options

UNIVERSAL = "universal"
"""Name of the upsampler that sharpens any model."""


def sharpen(
    model: nn.Module, *, weights: str | Path | None = None, example: Example = (1, 3, 512, 512), **options: Any
) -> Any:
    """Put the universal upsampler on a trained model. Nothing is trained, and the model is not changed.

    Where the own upsampler of one of our models was trained (`residual`, LaU followed by bilinear …), it stays, and the
    universal one stands behind it. All other parts are the same to the bit.

    Example:
        `sharper = sharpen(Segmenter.load("best.safetensors"))`

    Args:
        model: A `Segmenter`, what `open_model` returns, or a model of another library that `replace_upsampling` takes.
        weights: A file of `offstride fit-universal`, in place of the shipped weights.
        example: Images, or the shape of some, `(B, 3, H, W)`, on which the result is tried where it is not plain that
            it works: with a model of another library, or an upsampler that was trained.
        options: Options of the upsampler. Defaults: the shipped weights, and the pixel convention of the model.

    Returns:
        A model of the same kind and in the same mode; for one of another library what `replace_upsampling` returns.

    Raises:
        ValueError: If the model classifies while it upsamples, its trained upsampler reaches the resolution of the
            image, it is sharpened already or not understood, or if options or the file of weights do not fit.
    """
    if weights is None:
        return _sharpened(model, example, options)
    result = _sharpened(model, example, {**fitted_options(weights), **options})
    result.upsampler.load_weights(weights)
    return result


def _sharpened(model: nn.Module, example: Example, options: Mapping[str, Any]) -> Any:
    if isinstance(model, ForeignSegmenter):
        settings = _settings(model, options, model.config.factor)
        result = copy.deepcopy(model).with_upsampler(UNIVERSAL, settings)
        _keep_inner(result.upsampler, model.upsampler, settings)
        return result
    if not isinstance(model, Segmenter):
        return replace_upsampling(model, UNIVERSAL, example=example, **options)
    factor = model.head.out_stride
    settings = UPSAMPLERS[UNIVERSAL].model_options(_settings(model, options, factor), factor)
    known = {
        "in_channels": model.head.out_channels,
        "classes": model.config.classes,
        "levels": model.backbone.features,
    }
    upsampler = build_upsampler(UNIVERSAL, known, settings)
    _keep_inner(upsampler, model.upsampler, settings)
    result = copy.deepcopy(model)
    result.upsampler = upsampler.to(model.device).train(model.training)
    result.config = replace(model.config, upsampler=UNIVERSAL, upsampler_options=settings)
    if "upsampler" in settings:
        _try(result, model.config.upsampler, example)
    return result


def _try(model: Segmenter, inner: str, example: Example) -> None:
    """Raise a `ValueError` unless the upsampler inside leaves something to sharpen."""
    images = example if isinstance(example, Tensor) else torch.zeros(tuple(example))
    with evaluating(model):
        try:
            model.field(images.to(model.device))
        except ValueError as error:
            raise ValueError(
                f"model: its upsampler {inner!r} reaches the resolution of the image, which leaves nothing to sharpen "
                f"({error})"
            ) from error


def _keep_inner(upsampler: nn.Module, own: nn.Module, settings: dict[str, Any]) -> None:
    """The weights of the own upsampler, where it stays inside."""
    if "upsampler" in settings:
        inner: nn.Module = upsampler.upsample  # type: ignore[assignment]
        inner.load_state_dict(own.state_dict())


def _settings(model: Any, options: Mapping[str, Any], factor: int) -> dict[str, Any]:
    """Options of the universal upsampler for one of our models, or a model of another library that we hold."""
    name, own = model.config.upsampler, model.config.upsampler_options
    if name == UNIVERSAL:
        raise ValueError("model: expected one to sharpen, got one that has the universal upsampler already")
    if not UPSAMPLERS[name].reads_scores:
        raise ValueError(
            f"model: its upsampler {name!r} classifies on its own, so there are no coarse scores to sharpen; expected "
            "one that reads scores"
        )
    inner = {}
    if any(True for _ in model.upsampler.parameters()):
        inner = {"upsampler": name, "upsampler_options": dict(own)}
    given = {**inner, **options}
    settings = start_options(UNIVERSAL, given, own.get("origin", "center"), model.config.classes, factor)
    if inner:  # as it was trained, not as one that starts
        settings["upsampler_options"] = dict(own)
    return settings
