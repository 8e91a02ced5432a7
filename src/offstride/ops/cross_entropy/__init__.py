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
from offstride.ops.cross_entropy.labels import check_targets
from offstride.ops.cross_entropy.options import (
    NO_TERMS,
    CrossEntropyOptions,
    DisplacedOptions,
    Options,
    Terms,
    check_window,
)
from offstride.ops.grid import Origin, check_origin
from offstride.ops.implementation import Impl
from offstride.ops.sample import check_sample, check_scores

Reduction = Literal["mean", "sum", "none"]


def upsample_cross_entropy(
    scores: Tensor,
    labels: Tensor,
    *,
    origin: Origin = "center",
    reduction: Reduction = "mean",
    impl: Impl = "auto",
    **options: Unpack[CrossEntropyOptions],
) -> Tensor:
    """Bilinear upsampling of scores to the size of the labels, and their cross-entropy.

    Equals `cross_entropy(interpolate(scores, labels.shape[1:], mode="bilinear"), labels)` up to rounding, except that a
    batch without a valid pixel gives 0 with zero gradients.

    Args:
        scores: `(B, C, h, w)` class scores (logits), of any floating-point type; computed in float32 or better.
        labels: `(B, H, W)` integer classes, of any integer type.
        origin: Pixel convention.
        reduction: `"mean"` over valid pixels, `"sum"`, or `"none"`.
        impl: Implementation.
        **options: `weight`, `label_smoothing` and `ignore_index`; see `CrossEntropyOptions`.

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
    checked = check_targets(labels, (*scores.shape[:2], *labels.shape[1:]), scores.device, **options)
    if reduction == "none":
        return fused_pixel_losses(scores, None, checked.labels, origin=origin, impl=impl, **checked.options)
    total = checked.total
    divisors = (torch.ones_like(total) if reduction == "sum" else total.masked_fill(total == 0, 1)).expand(2)
    return fused_loss(scores, None, checked.labels, divisors, origin=origin, impl=impl, **NO_TERMS, **checked.options)


def located_cross_entropy(
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    *,
    origin: Origin = "center",
    guided: float | None = None,
    regression: float | None = None,
    window: int = 1,
    impl: Impl = "auto",
    **options: Unpack[CrossEntropyOptions],
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
        impl, **options: As in `upsample_cross_entropy`.
        guided: λ of Eq. 3; the paper has 0.3.
        regression: γ of Eq. 4; the paper has 0.1.
        window: Coarse locations that Eq. 4 looks at on every side of a pixel; 1 are the four corners of its cell.

    Returns:
        Scalar, float32 or better. Errors as in `upsample_cross_entropy`.
    """
    check_origin(origin)
    check_sample(scores, offsets, name="scores")
    checked = check_targets(labels, (*scores.shape[:2], *offsets.shape[2:]), scores.device, **options)
    for name, value in (("guided", guided), ("regression", regression)):
        if value is not None and not value >= 0:
            raise ValueError(f"{name}: expected a number of at least 0 or None, got {value}")
    check_window(window)
    divisors = torch.stack((checked.total, checked.pixels))
    divisors = divisors.masked_fill(divisors == 0, 1)
    terms = Terms(guided=guided, regression=regression, window=window, ties=NO_TERMS["ties"])
    return fused_loss(scores, offsets, checked.labels, divisors, origin=origin, impl=impl, **terms, **checked.options)


def fused_loss(
    scores: Tensor,
    offsets: Tensor | None,
    labels: Tensor,
    divisors: Tensor,
    *,
    impl: Impl = "auto",
    **options: Unpack[DisplacedOptions],
) -> Tensor:
    """`located_cross_entropy` of checked arguments, with uint8 or int64 labels; without offsets
    `upsample_cross_entropy`. `divisors` `(2,)`, not 0, divide the sums of the classification losses and of the
    smooth-L1 distances.
    """
    if impl == "reference":
        return reference.loss(scores, offsets, labels, divisors, **options)
    gradient = torch.is_grad_enabled() and (scores.requires_grad or (offsets is not None and offsets.requires_grad))
    return operators.loss(scores, offsets, labels, divisors, impl=impl, gradient=gradient, **options)[0]


def fused_pixel_losses(
    scores: Tensor, offsets: Tensor | None, labels: Tensor, *, impl: Impl = "auto", **options: Unpack[Options]
) -> Tensor:
    """`(B, H, W)` losses of checked arguments; without offsets those of bilinear upsampling."""
    if impl == "reference":
        return reference.pixels(scores, offsets, labels, **options)
    return operators.pixels(scores, offsets, labels, impl=impl, **options)
