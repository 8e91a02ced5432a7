"""What a model makes of one image, step by step, as arrays: prediction, offsets, gates."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from offstride.data import ClassSet, EvalTransform, Sample
from offstride.field import BilinearField, LocatedField, LogitField, argmax, confidence
from offstride.losses import located
from offstride.losses.location import undisplaced
from offstride.models import Segmenter


@dataclass(frozen=True, eq=False)
class Offsets:
    """How location-aware upsampling reads an image.

    Attributes:
        field: `(2, H, W)` displacements (y, x) in coarse pixels; where classes are read at places of their own, that of
            the predicted class.
        stride: Image pixels per coarse pixel.
        before: `(H, W)` classes if all offsets were zero; those of the last step, in a cascade of several.
    """

    field: np.ndarray
    stride: float
    before: np.ndarray


@dataclass(frozen=True, eq=False)
class Gate:
    """The gate of a level.

    Attributes:
        name: Of the level: the backbone's feature.
        values: `(h, w)` in 0 … 1 on the grid of the level.
        closed: `(H, W)` classes if the gate is set to zero.
    """

    name: str
    values: np.ndarray
    closed: np.ndarray


@dataclass(frozen=True, eq=False)
class Decoding:
    """An image and what a model makes of it.

    Attributes:
        image: `(H, W, 3)` uint8.
        label: `(H, W)` true classes, if known.
        prediction: `(H, W)` classes.
        confidence: `(H, W)` probability of the predicted class.
        classes: The classes.
        offsets: For a model that ends in location-aware upsampling.
        gates: Finest level first; empty for a model without gates.
    """

    image: np.ndarray
    label: np.ndarray | None
    prediction: np.ndarray
    confidence: np.ndarray
    classes: ClassSet
    offsets: Offsets | None
    gates: list[Gate]


@torch.inference_mode()
def decode_image(
    model: Segmenter, pixels: np.ndarray, label: np.ndarray | None, report: Callable[[int, int], None]
) -> Decoding:
    """Run a model on an image, and once more for every gate that it has.

    Args:
        model: In evaluation mode.
        pixels: `(H, W, 3)` uint8.
        label: `(H, W)` true classes, if known.
        report: Called after each run of the model with the number of runs so far and in all.
    """
    images = _normalised(model, pixels)
    decoded = model.decode(images)
    field = decoded.main
    prediction = _classes(field)
    names, gates = level_names(model, len(decoded.gates)), []
    report(1, 1 + len(names))
    for index, (name, gate) in enumerate(zip(names, decoded.gates, strict=True)):
        closed = _classes(model.decode(images, closed=(index,)).main)
        gates.append(Gate(name, gate[0, 0].float().cpu().numpy(), closed))
        report(2 + index, 1 + len(names))
    sure = confidence(field)[0].cpu().numpy()
    offsets = _offsets(field, prediction) if is_located(field) else None
    return Decoding(pixels, label, prediction, sure, class_set(model), offsets, gates)


def class_set(model: Segmenter) -> ClassSet:
    """The classes of a model; numbers where it has no names for them."""
    return model.classes or ClassSet(tuple(f"class {index}" for index in range(model.config.classes)))


def is_located(field: LogitField) -> bool:
    """Whether a field is location-aware upsampling, alone or followed by bilinear."""
    return isinstance(field.source if isinstance(field, BilinearField) else field, LocatedField)


def level_names(model: Segmenter, count: int) -> list[str]:
    """Names of the fused levels: those of the backbone's features that the head fuses, numbers if it does not say."""
    levels = getattr(model.head, "levels", ())
    if len(levels) != count:
        return [f"level {index + 1}" for index in range(count)]
    return [model.backbone.features[index].name for index in levels]


def _normalised(model: Segmenter, pixels: np.ndarray) -> Tensor:
    sample = Sample(torch.from_numpy(pixels).permute(2, 0, 1), torch.zeros(pixels.shape[:2], dtype=torch.uint8), "")
    image, _ = EvalTransform(model.mean, model.std)(sample)
    return image[None].to(next(model.parameters()).device)


def _classes(field: LogitField) -> np.ndarray:
    return argmax(field)[0].cpu().numpy()


def _offsets(field: LogitField, prediction: np.ndarray) -> Offsets:
    place = located(field)
    pairs = place.offsets[0].float().cpu().numpy()
    pairs = pairs.reshape(-1, 2, *pairs.shape[1:])
    group = prediction.astype(np.int64) // (field.shape[1] // len(pairs))
    rows, columns = np.indices(prediction.shape)
    read = np.moveaxis(pairs[group, :, rows, columns], -1, 0)
    return Offsets(read, field.shape[2] / place.scores.shape[2], _classes(undisplaced(field)))
