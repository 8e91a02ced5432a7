"""Prediction at several scales.

Shapes: images (B, 3, H, W). B batch, C classes.

Images are resized bilinearly with the pixel centres of `interpolate(align_corners=False)`, and with antialiasing where
they become smaller, as in training. Predictions come back to the size of the image bilinearly.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.field import DenseField
from offstride.inference.averaged import Averaged
from offstride.inference.sliding import averaged, sliding_mean
from offstride.inference.whole import Predict, Reduce, Rows, check_reduce, predict_mirrored
from offstride.inference.windows import check_windows
from offstride.ops.grid import coordinate_dtype, source_rows
from offstride.ops.interpolate import bilinear_rows

DEEPLABV3_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""DeepLabv3, "Inference strategy on val set" (Tables 4 and 6): with flipping, average of probabilities, whole images.
DUpsampling (§4.2) follows it."""

ENCNET_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""The evaluator that EncNet released, and so LaU, which evaluates "as described in EncNet" (§4.1): with flipping,
windows of 480×480 that overlap by a third, of images whose longer side is 520 at scale 1."""

GFF_SCALES = (0.75, 1.0, 1.25, 1.5, 1.75)
"""GFF, Table 2: average of probabilities, in sliding windows."""


def check_scales(scales: Sequence[float], base: int | None) -> None:
    """Raise a `ValueError` unless these are scales and a length in pixels."""
    if not scales or not all(0 < scale < float("inf") for scale in scales):
        raise ValueError(f"scales: expected at least one, all of them positive, got {scales!r}")
    if base is not None and base < 1:
        raise ValueError(f"base: expected a positive number of pixels, got {base!r}")


def scaled_size(size: tuple[int, int], scale: float, base: int | None = None) -> tuple[int, int]:
    """Size of an image at a scale, in whole pixels.

    Args:
        size: (H, W) of the image.
        scale: Factor of both sides.
        base: Length that the longer side has at scale 1; by default it is left as it is.
    """
    factor = scale if base is None else scale * base / max(size)
    height, width = (max(1, int(factor * side + 0.5)) for side in size)
    return height, width


@torch.inference_mode()
def predict_averaged(
    predict: Predict,
    images: Tensor,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: tuple[int, int] | None = None,
    overlap: float = 1 / 3,
    base: int | None = None,
    reduce: Reduce = "probabilities",
) -> Averaged:
    """Average over scales, the mirror image and, at every scale, windows.

    Args:
        predict: From `(B, 3, h, w)` images to a field or to scores, see `scores_of`. Fields are rendered in bands.
        images: `(B, 3, H, W)`, normalised.
        scales: Factors of the image's size; see `DEEPLABV3_SCALES`, `ENCNET_SCALES`, `GFF_SCALES`.
        flip: Also predict the mirror image; with windows that of every window.
        window: (h, w) of sliding windows in pixels of the scaled image, see `predict_sliding`; None predicts it whole.
        overlap: Share of a window that overlaps with the next one.
        base: Length that the image's longer side has at scale 1; by default the image's own.
        reduce: What is averaged: `"probabilities"`, or `"scores"`, of which the softmax is taken last.

    Returns:
        Field of shape `(B, C, H, W)`.

    Raises:
        ValueError: If an argument is out of range, or the callable returns no scores.
    """
    check_scales(scales, base)
    check_reduce(reduce)
    if window is not None:
        check_windows(window, overlap)
    size = (images.shape[2], images.shape[3])
    total: Tensor | None = None
    for scale in scales:
        scaled = _resized(images, scaled_size(size, scale, base))
        if window is None:
            rows = predict_mirrored(predict, scaled, flip=flip, reduce=reduce)
        else:
            mean = sliding_mean(predict, scaled, window=window, overlap=overlap, flip=flip, reduce=reduce)
            rows = DenseField(mean).rows
        total = _added(total, rows, scaled.shape[2], size)
    assert total is not None  # there is a scale
    return averaged(total / len(scales), reduce)


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    if images.shape[2:] == size:
        return images
    precise = images.to(coordinate_dtype(images.dtype))  # half precision has no antialiasing on a CPU
    return F.interpolate(precise, size, mode="bilinear", align_corners=False, antialias=True).to(images.dtype)


def _added(total: Tensor | None, rows: Rows, height: int, size: tuple[int, int]) -> Tensor:
    """Add a prediction of some height, rendered in bands, to a total of another size, or to zeros if there is none."""
    if total is None:
        first_row = rows(0, 1)  # has the number of classes and the type
        total = first_row.new_zeros(*first_row.shape[:2], *size)
    for start, stop in Averaged(total).bands():
        first, last = source_rows((start, stop), size[0], height, "center")
        total[:, :, start:stop] += bilinear_rows(
            rows(first, last), size, (start, stop), origin="center", coarse=height, first=first
        )
    return total
