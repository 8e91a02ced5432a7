"""Prediction of whole images: class scores in what a model returns, and the mean over an image and its mirror image.

Shapes: images (B, 3, H, W). B batch, C classes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from offstride.field import BilinearField, DenseField, LogitField

Predict = Callable[[Tensor], Any]
"""From `(B, 3, H, W)` images to class scores, in any form that `scores_of` reads."""

Reduce = Literal["probabilities", "scores"]
"""What is averaged: class probabilities (DeepLabv3, Tables 4 and 6; GFF, Table 2), or scores, whose softmax is taken
last."""

Rows = Callable[[int, int], Tensor]
"""Renders rows `start … stop - 1`: `(B, C, stop - start, W)`, float32 or better."""


def scores_of(output: object) -> object:
    """The class scores in what a model returns, before any softmax.

    Args:
        output: A field or a tensor is returned as it is; of a mapping the entry `"out"` (segmentation models of
            torchvision) or `"logits"`; of another object the attribute `logits` (outputs of transformers).

    Returns:
        The scores, or the output itself if it has none; the caller checks the type.
    """
    if isinstance(output, Mapping):
        return next((output[name] for name in ("out", "logits") if name in output), output)
    return getattr(output, "logits", output)


@torch.inference_mode()
def predict_whole(predict: Predict, images: Tensor) -> LogitField:
    """Scores of whole images as a field of their size.

    Args:
        predict: From `(B, 3, H, W)` images to a field or to scores, see `scores_of`; scores on a coarser grid are
            upsampled bilinearly.
        images: `(B, 3, H, W)`.

    Returns:
        Field of shape `(B, C, H, W)`.

    Raises:
        ValueError: If the callable returns something else.
    """
    scores = scores_of(predict(images))
    size = (images.shape[-2], images.shape[-1])
    if isinstance(scores, Tensor) and scores.ndim == 4:
        scores = DenseField(scores) if scores.shape[-2:] == size else BilinearField(scores, size)
    if not isinstance(scores, LogitField) or scores.shape[2:] != size:
        got = tuple(scores.shape) if isinstance(scores, Tensor | LogitField) else type(scores).__name__
        raise ValueError(f"predict: expected a field of {size} or a (B, C, h, w) tensor, got {got}")
    return scores


def check_reduce(reduce: str) -> None:
    """Raise a `ValueError` unless there is such an average."""
    if reduce not in get_args(Reduce):
        raise ValueError(f"reduce: expected one of {get_args(Reduce)}, got {reduce!r}")


def predict_mirrored(predict: Predict, images: Tensor, *, flip: bool, reduce: Reduce) -> Rows:
    """Predict `(B, 3, H, W)` images and, with `flip`, their mirror images.

    Returns:
        Renders rows of the mean of probabilities or scores, each time as a new tensor.
    """
    field = predict_whole(predict, images)
    if not flip:
        return partial(_values, field, reduce)
    mirrored = predict_whole(predict, images.flip(-1))
    return lambda *rows: (_values(field, reduce, *rows) + _values(mirrored, reduce, *rows).flip(-1)) / 2


def _values(field: LogitField, reduce: Reduce, start: int, stop: int) -> Tensor:
    scores = field.rows(start, stop)
    return scores.softmax(1) if reduce == "probabilities" else scores.clone()
