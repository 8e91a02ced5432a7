"""Run a model on one image, step by step: prediction, offsets, gates."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from offstride.data import ClassSet, normalize
from offstride.evaluate.evaluation import device_of
from offstride.field import BilinearField, CroppedField, LocatedField, LogitField, argmax, confidence
from offstride.inference.images import NamedModel
from offstride.losses import located
from offstride.losses.location import undisplaced
from offstride.models import Decoded
from offstride.visualize.decoding import Decoding, Gate, Offsets


class DecodedModel(NamedModel, Protocol):
    """A model that gives all of its outputs."""

    def decode(self, images: Tensor, closed: tuple[int, ...] = (), /) -> Decoded: ...


@torch.inference_mode()
def decode_image(
    model: DecodedModel,
    pixels: np.ndarray,
    label: np.ndarray | None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Decoding:
    """Run a model on an image, and once more for every gate that it has.

    Args:
        model: In evaluation mode.
        pixels: `(H, W, 3)` uint8.
        label: `(H, W)` true classes, if known.
        report: Progress callback: `report(done, total)`, after each run of the model.
    """
    image = normalize(torch.from_numpy(pixels).permute(2, 0, 1), model.mean, model.std)
    images = image[None].to(device_of(model))
    decoded = model.decode(images)
    field = decoded.main
    prediction = _classes(field)
    names, gates = level_names(model, len(decoded.gates)), []
    report(1, 1 + len(names))
    for index, (name, gate) in enumerate(zip(names, decoded.gates, strict=True)):
        closed = _classes(model.decode(images, (index,)).main)
        gates.append(Gate(name, gate[0, 0].float().cpu().numpy(), closed))
        report(2 + index, 1 + len(names))
    sure = confidence(field)[0].cpu().numpy()
    whole = field.source if isinstance(field, CroppedField) else field
    last = whole.source if isinstance(whole, BilinearField) else whole
    offsets = _offsets(whole, prediction) if isinstance(last, LocatedField) else None
    return Decoding(pixels, label, prediction, sure, class_set(model), offsets, gates)


def class_set(model: NamedModel) -> ClassSet:
    """The classes of a model; numbers where it has no names for them."""
    return model.classes or ClassSet(tuple(f"class {index}" for index in range(model.config.classes)))


def level_names(model: Any, count: int) -> list[str]:
    """Names of the fused levels: those of the backbone's features, or numbers if the head does not name its levels."""
    levels = getattr(model.head, "levels", ()) if count else ()
    if len(levels) != count:
        return [f"level {index + 1}" for index in range(count)]
    return [model.backbone.features[index].name for index in levels]


def _classes(field: LogitField) -> np.ndarray:
    return argmax(field)[0].cpu().numpy()


def _offsets(field: LogitField, prediction: np.ndarray) -> Offsets:
    """Of the labelled part of a field: an image that was padded for the network has a larger one."""
    H, W = prediction.shape
    place = located(field)
    pairs = place.offsets[0].float().cpu().numpy()
    pairs = pairs.reshape(-1, 2, *pairs.shape[1:])[..., :H, :W]
    group = prediction.astype(np.int64) // (field.shape[1] // len(pairs))
    rows, columns = np.indices(prediction.shape)
    read = np.moveaxis(pairs[group, :, rows, columns], -1, 0)
    return Offsets(read, field.shape[2] / place.scores.shape[2], _classes(undisplaced(field))[:H, :W])
