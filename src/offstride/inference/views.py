"""The views of one image that are averaged: the image, and its mirror image.

Shapes: (B, C, H, W); a view is a prediction of the whole image it shows.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from offstride.field import LogitField
from offstride.inference.scores import Predict
from offstride.inference.whole import predict_whole

Reduce = Literal["probabilities", "scores"]
"""What is averaged: class probabilities (DeepLabv3, Tables 4 and 6; GFF, Table 2), or scores, whose softmax is taken
last."""


def check_reduce(reduce: str) -> None:
    """Raise a `ValueError` unless there is such an average."""
    if reduce not in get_args(Reduce):
        raise ValueError(f"reduce: expected one of {get_args(Reduce)}, got {reduce!r}")


@dataclass(frozen=True, eq=False)
class Views:
    """Mean over the views of an image, rendered in bands as the fields are.

    Args:
        field: Prediction of the image.
        mirrored: Prediction of its mirror image, if that counts, too.
        reduce: What is averaged.
    """

    field: LogitField
    mirrored: LogitField | None
    reduce: Reduce

    def rows(self, start: int, stop: int) -> Tensor:
        """Rows `start … stop - 1`: `(B, C, stop - start, W)` probabilities or scores, a new tensor in float32 or
        better.
        """
        values = self._values(self.field, start, stop)
        if self.mirrored is None:
            return values
        return (values + self._values(self.mirrored, start, stop).flip(-1)) / 2

    def _values(self, field: LogitField, start: int, stop: int) -> Tensor:
        scores = field.rows(start, stop)
        return scores.softmax(1) if self.reduce == "probabilities" else scores.clone()


def look_at(predict: Predict, images: Tensor, *, flip: bool, reduce: Reduce) -> Views:
    """Predict all views of `(B, 3, H, W)` images."""
    field = predict_whole(predict, images)
    return Views(field, predict_whole(predict, images.flip(-1)) if flip else None, reduce)
