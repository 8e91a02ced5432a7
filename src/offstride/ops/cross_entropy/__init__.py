"""Cross-entropy of upsampled scores, exact, without the full-resolution scores.

`interpolate(scores)` followed by `cross_entropy` holds three tensors of shape (B, C, H, W), and reads and writes them
eight times. Here the scores of a few pixels at a time are made, used and forgotten, forward and backward together; what
comes out is the same. docs/fused_loss.md explains how.

Shapes: scores (B, C, h, w) on a coarse grid, offsets (B, 2M, H, W), labels (B, H, W).

Convention: see `offstride.ops.grid`; `origin="center"` equals `interpolate(align_corners=False)`. Offsets are (y, x)
pairs in coarse pixels. Sizes need not divide.

Implementations (`impl`): `"cpu"` are compiled kernels, `"triton"` kernels for CUDA, `"banded"` is plain PyTorch on any
device and in any precision, `"reference"` is the dense form. `"auto"` takes the fastest that serves the tensors.
"""

from typing import Literal, Unpack, get_args

import torch
from torch import Tensor

from offstride.ops.cross_entropy import operators, reference
from offstride.ops.cross_entropy.options import NO_TERMS, Criterion, LocatedOptions, Options, Terms
from offstride.ops.cross_entropy.reference import penalised, pixel_cross_entropy
from offstride.ops.grid import Origin, check_origin
from offstride.ops.implementation import Impl
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.sample import check_sample

__all__ = [
    "NO_TERMS",
    "Criterion",
    "bilinear_loss",
    "bilinear_pixel_losses",
    "check_targets",
    "label_weight",
    "located_cross_entropy",
    "located_loss",
    "located_pixel_losses",
    "penalised",
    "pixel_cross_entropy",
    "upsample_cross_entropy",
]

Reduction = Literal["mean", "sum", "none"]


def upsample_cross_entropy(
    scores: Tensor,
    labels: Tensor,
    *,
    origin: Origin = "center",
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
    reduction: Reduction = "mean",
    impl: Impl = "auto",
) -> Tensor:
    """Bilinear upsampling of scores to the size of the labels, and their cross-entropy.

    Equals `cross_entropy(interpolate(scores, labels.shape[1:], mode="bilinear"), labels)` up to rounding, except that a
    batch without a valid pixel gives 0 with zero gradients.

    Args:
        scores: `(B, C, h, w)` class scores (logits), of any floating-point type; computed in float32 or better.
        labels: `(B, H, W)` integer classes, of any integer type.
        origin: Pixel convention.
        weight: `(C,)` class weights; the mean is then over weights, as in torch.
        label_smoothing: Share of the target spread over all classes.
        ignore_index: Label of pixels that do not count.
        reduction: `"mean"` over valid pixels, `"sum"`, or `"none"`.
        impl: Implementation.

    Returns:
        Scalar, or `(B, H, W)` losses (0 where ignored) with `"none"`; float32 or better.

    Raises:
        ValueError: If arguments do not fit together, a valid label is no class, or `impl` cannot serve them.

    Example:
        >>> upsample_cross_entropy(torch.zeros(1, 2, 4, 4), torch.zeros(1, 30, 40, dtype=torch.long))
        tensor(0.6931)
    """
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction: expected one of {get_args(Reduction)}, got {reduction!r}")
    check_origin(origin)
    check_scores(scores)
    labels = check_targets(scores, labels, labels.shape[1:], weight, label_smoothing, ignore_index)
    options = Options(origin=origin, weight=weight, label_smoothing=label_smoothing, ignore_index=ignore_index)
    count = label_weight(labels, scores.shape[1], weight=weight, ignore_index=ignore_index)
    if reduction == "none":
        return bilinear_pixel_losses(scores, labels, impl=impl, **options)
    divisor = torch.ones_like(count) if reduction == "sum" else count.masked_fill(count == 0, 1)
    return bilinear_loss(scores, labels, divisor, impl=impl, **options)


def located_cross_entropy(
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    *,
    origin: Origin = "center",
    guided: float | None = None,
    regression: float | None = None,
    window: int = 1,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
    impl: Impl = "auto",
) -> Tensor:
    """Location-aware upsampling (LaU, Eq. 2) and its mean cross-entropy, with the losses of Eqs. 3 and 4.

    - `guided` alone (Eq. 3): mean of `L · (1 + λ · [not L < L′])`, L′ the loss of plain bilinear upsampling.
    - `regression` (Eq. 4): mean of `γ · smooth-L1(Θ_opt - Θ) + L · (1 + λ · [a coarse location is better])`, with λ =
      `guided` or 0. Θ_opt is where the loss is least among the pixel's own position and the coarse locations around the
      undisplaced one.

    Comparisons ignore differences of less than a thousandth, which are rounding.

    Args:
        scores: `(B, C, h, w)` class scores.
        offsets: `(B, 2M, H, W)` displacements, (y, x) pairs in coarse pixels; see `located_sample`.
        labels: `(B, H, W)` integer classes.
        origin: Where an undisplaced pixel reads.
        guided: λ of Eq. 3; the paper has 0.3.
        regression: γ of Eq. 4; the paper has 0.1.
        window: Coarse locations that Eq. 4 looks at on every side of a pixel; 1 are the four corners of its cell.
        weight: `(C,)` class weights.
        label_smoothing: Share of the target spread over all classes.
        ignore_index: Label of pixels that do not count.
        impl: Implementation.

    Returns:
        Scalar, float32 or better.

    Raises:
        ValueError: If arguments do not fit together, a valid label is no class, or `impl` cannot serve them.
    """
    check_origin(origin)
    check_sample(scores, offsets, name="scores")
    labels = check_targets(scores, labels, offsets.shape[2:], weight, label_smoothing, ignore_index)
    for name, value in (("guided", guided), ("regression", regression)):
        if value is not None and not value >= 0:
            raise ValueError(f"{name}: expected a number of at least 0 or None, got {value}")
    if window < 1:
        raise ValueError(f"window: expected 1 or more, got {window}")
    count = label_weight(labels, scores.shape[1], weight=weight, ignore_index=ignore_index)
    pixels = count if weight is None else label_weight(labels, scores.shape[1], ignore_index=ignore_index)
    divisors = torch.stack((count, pixels))
    divisors = divisors.masked_fill(divisors == 0, 1)
    terms = Terms(guided=guided, regression=regression, window=window, ties="penalize")
    options = Options(origin=origin, weight=weight, label_smoothing=label_smoothing, ignore_index=ignore_index)
    return located_loss(scores, offsets, labels, divisors, impl=impl, **terms, **options)


def label_weight(
    labels: Tensor, classes: int, *, weight: Tensor | None = None, ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """What the mean of a cross-entropy divides by: the number of valid pixels, or the sum of their class weights.
    Float32 scalar.

    Raises:
        ValueError: If a valid pixel holds no class (looked at on a CPU only).
    """
    return operators.label_weight(labels, weight, classes, ignore_index)


def bilinear_loss(
    scores: Tensor, labels: Tensor, divisor: Tensor, *, impl: Impl = "auto", **options: Unpack[Options]
) -> Tensor:
    """`upsample_cross_entropy` of checked arguments: the sum over a given 0-dim `divisor`, which is not 0."""
    if impl == "reference":
        return reference.bilinear(scores, labels, divisor, **options)
    gradient = torch.is_grad_enabled() and scores.requires_grad
    return operators.bilinear(scores, labels, divisor, impl=impl, gradient=gradient, **options)[0]


def bilinear_pixel_losses(scores: Tensor, labels: Tensor, *, impl: Impl = "auto", **options: Unpack[Options]) -> Tensor:
    """`upsample_cross_entropy(reduction="none")` of checked arguments."""
    if impl == "reference":
        return reference.bilinear_pixels(scores, labels, **options)
    return operators.bilinear_pixels(scores, labels, impl=impl, **options)


def located_loss(
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    divisors: Tensor,
    *,
    impl: Impl = "auto",
    **options: Unpack[LocatedOptions],
) -> Tensor:
    """`located_cross_entropy` of checked arguments, with uint8 or int64 labels; `divisors` `(2,)`, not 0, are what the
    sums of the classification losses and of the smooth-L1 distances are divided by.
    """
    if impl == "reference":
        return reference.located(scores, offsets, labels, divisors, **options)
    gradient = torch.is_grad_enabled() and (scores.requires_grad or offsets.requires_grad)
    return operators.located(scores, offsets, labels, divisors, impl=impl, gradient=gradient, **options)[0]


def located_pixel_losses(
    scores: Tensor, offsets: Tensor, labels: Tensor, *, impl: Impl = "auto", **options: Unpack[Options]
) -> Tensor:
    """`(B, H, W)` losses of location-aware upsampling, for checked arguments."""
    if impl == "reference":
        return reference.located_pixels(scores, offsets, labels, **options)
    return operators.located_pixels(scores, offsets, labels, impl=impl, **options)


def check_scores(scores: Tensor) -> None:
    """Raise a `ValueError` unless scores are a floating-point `(B, C, h, w)` tensor that is not empty."""
    if scores.ndim != 4 or not scores.is_floating_point() or 0 in scores.shape:
        raise ValueError(
            f"scores: expected a floating-point (B, C, h, w) tensor, got {scores.dtype} of shape {tuple(scores.shape)}"
        )


def check_targets(
    scores: Tensor,
    labels: Tensor,
    size: torch.Size | tuple[int, int],
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
) -> Tensor:
    """Labels as the implementations take them, uint8 or int64, once all arguments beside the scores have been checked
    (but for the values of the labels, which `label_weight` looks at).

    Raises:
        ValueError: If labels, weights or smoothing do not fit.
    """
    B, C = scores.shape[:2]
    if labels.ndim != 3 or labels.shape != (B, *size) or 0 in labels.shape:
        expected = (B, *size) if len(size) == 2 else (B, "H", "W")
        raise ValueError(f"labels: expected shape {expected}, got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected an integer type, got {labels.dtype}")
    if labels.device != scores.device:
        raise ValueError(f"labels: expected device {scores.device} as the scores, got {labels.device}")
    if weight is not None and (weight.shape != (C,) or weight.device != scores.device):
        raise ValueError(
            f"weight: expected shape ({C},), one per class, on {scores.device}; "
            f"got {tuple(weight.shape)} on {weight.device}"
        )
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing: expected a share in [0, 1), got {label_smoothing}")
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise ValueError(f"ignore_index: expected an integer, got {ignore_index!r}")
    return labels if labels.dtype == torch.uint8 else labels.long()
