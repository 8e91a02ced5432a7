"""Prediction of whole images."""

import torch
from torch import Tensor

from offstride.field import BilinearField, DenseField, LogitField
from offstride.inference.scores import Predict, scores_of


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
