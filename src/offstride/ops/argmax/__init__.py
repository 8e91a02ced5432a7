"""Label maps, confidences and confusion counts straight from coarse scores, without the full-resolution scores.

Shapes: scores (B, C, h, w) on a coarse grid, offsets (B, 2M, H, W), labels (B, H, W).

Convention: see `offstride.ops.grid`; `origin="center"` equals `interpolate(align_corners=False)`. Offsets are (y, x)
pairs in coarse pixels; with them the scores are read at displaced places (`located_sample`). Sizes need not divide. Of
several best classes the first wins; pixels that read a NaN get any class. Nothing here has gradients.

Implementations (`impl`): the same as in `offstride.ops.cross_entropy`.
"""

from collections.abc import Sequence

from torch import Tensor

from offstride.ops.argmax import operators
from offstride.ops.cross_entropy.labels import check_map
from offstride.ops.cross_entropy.options import check_ignored
from offstride.ops.grid import Origin, check_origin
from offstride.ops.implementation import Impl
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.sample import check_sample, check_scores

__all__ = ["upsample_argmax", "upsample_confidence", "upsample_confusion"]


def upsample_argmax(
    scores: Tensor,
    size: Sequence[int],
    *,
    offsets: Tensor | None = None,
    origin: Origin = "center",
    impl: Impl = "auto",
) -> Tensor:
    """Most likely class of every pixel of upsampled scores.

    Equals `interpolate(scores, size, mode="bilinear").argmax(1)`, except that rounding may decide otherwise where
    two classes are as good.

    Args:
        scores: `(B, C, h, w)` class scores (logits), of any floating-point type; computed in float32 or better.
        size: `(H, W)` to upsample to.
        offsets: `(B, 2M, H, W)` displacements; plain bilinear upsampling without.
        origin: Pixel convention, or where an undisplaced pixel reads.
        impl: Implementation.

    Returns:
        `(B, H, W)`, uint8 up to 256 classes and int64 above.

    Raises:
        ValueError: If arguments do not fit together or `impl` cannot serve them.

    Example:
        >>> upsample_argmax(torch.eye(2).view(1, 2, 1, 2), (1, 6))
        tensor([[[0, 0, 0, 1, 1, 1]]], dtype=torch.uint8)
    """
    return operators.labels(*_checked(scores, offsets, origin, size), list(size), origin, impl)


def upsample_confidence(
    scores: Tensor,
    size: Sequence[int],
    *,
    offsets: Tensor | None = None,
    origin: Origin = "center",
    impl: Impl = "auto",
) -> Tensor:
    """Softmax probability of the most likely class of every pixel of upsampled scores.

    Equals `interpolate(scores, size, mode="bilinear").softmax(1).amax(1)` up to rounding. Arguments and errors as in
    `upsample_argmax`.

    Returns:
        `(B, H, W)`, float32, or float64 for float64 scores; NaN where a NaN is read.
    """
    return operators.confidence(*_checked(scores, offsets, origin, size), list(size), origin, impl)


def upsample_confusion(
    scores: Tensor,
    labels: Tensor,
    *,
    offsets: Tensor | None = None,
    origin: Origin = "center",
    ignore_index: int = IGNORE_INDEX,
    impl: Impl = "auto",
) -> Tensor:
    """Pixels of every pair of true and most likely class of upsampled scores: what evaluation counts.

    Equals `confusion_matrix(upsample_argmax(scores, labels.shape[1:]), labels, C)` of `offstride.metrics`.

    Args:
        scores, offsets, origin, impl: As in `upsample_argmax`.
        labels: `(B, H, W)` true classes, of any integer type.
        ignore_index: Label of pixels that are not counted.

    Returns:
        `(C, C)` int64: rows are true classes, columns most likely ones.

    Raises:
        ValueError: If arguments do not fit together, a valid label is no class (looked at on a CPU only), or `impl`
            cannot serve them.
    """
    scores, offsets = _checked(scores, offsets, origin)
    size = labels.shape[1:] if offsets is None else offsets.shape[2:]
    target = check_map(labels, (len(scores), *size), scores.device)
    check_ignored(ignore_index)
    return operators.confusion(scores, offsets, target, origin, ignore_index, impl)


def _checked(
    scores: Tensor, offsets: Tensor | None, origin: str, size: Sequence[int] | None = None
) -> tuple[Tensor, Tensor | None]:
    """Scores and offsets without gradients; raises a `ValueError` unless all fit together."""
    check_origin(origin)
    check_scores(scores)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError(f"size: expected a positive (H, W), got {tuple(size)}")
    if offsets is None:
        return scores.detach(), None
    check_sample(scores, offsets, name="scores")
    if size is not None and tuple(offsets.shape[2:]) != tuple(size):
        raise ValueError(f"offsets: expected those of {tuple(size)} pixels, got shape {tuple(offsets.shape)}")
    return scores.detach(), offsets.detach()
