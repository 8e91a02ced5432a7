"""Location-aware upsampling, cross-entropy and location losses on CUDA (LaU, Eqs. 2, 3 and 4): two sweeps over pixels.

1. `pixels_kernel`: a thread owns a pixel and runs over its classes: loss, log-sum-exp, the losses of candidate places
   (from the log-sum-exp of each coarse location), penalty, pull, and the gradient to the offset.
2. `scatter_kernel`: with the log-sum-exps, the softmax of a class needs no other class, so threads share out classes.
   Pixels are taken by the coarse cells that they lie in undisplaced, and as most are not displaced far, nearly all that
   a tile adds to the coarse gradient falls in a small window. A product of matrices, window weights times pixel
   gradients, sums it up before memory sees it: at stride 8 sixteen atomic additions for each class of a cell, instead
   of 4 · 64. Pixels that read further away add to memory themselves.
3. `unpack_kernel` converts the sums to the layout and type of the scores.

For Eq. 3 the loss of the undisplaced pixel comes from the first sweep of `bilinear_loss`.

The sum of floats that are added in memory depends on their order, so gradients to the scores may differ in the last
bits from run to run. Under `torch.use_deterministic_algorithms(True)` they are added in fixed point, as 64-bit
integers, for which the order does not matter. The unit is a power of two such that the sum over all n pixels of an
image, each with the largest gradient that it can have, stays below 2**62: it is at most n · 2**-61 times that gradient,
2**-41 of it for a megapixel. Each addition errs by less than a unit, while the float32 numbers that are added have
errors of 2**-24 of their own, so nothing is lost. Coarse gradients take twice the memory meanwhile. A number that is
not finite makes the whole gradient NaN.

Shapes: scores (B, C, h, w), offsets (B, 2, H, W), labels (B, H, W).
"""

from typing import NamedTuple, Unpack

import torch
import triton
from torch import Tensor

from offstride.ops.cross_entropy.options import DisplacedOptions, Options
from offstride.ops.cross_entropy.triton.bilinear_loss import (
    Job,
    bilinear,
    bilinear_pixels,
    bilinear_pixels_backward,
    job,
    sweep,
)
from offstride.ops.cross_entropy.triton.displaced_kernels import (
    PENALIZE,
    SPARE,
    pixels_kernel,
    scatter_kernel,
    unpack_kernel,
)
from offstride.ops.cross_entropy.triton.launch import device_of, launch
from offstride.ops.cross_entropy.triton.total import total_kernel

PIXELS = 128
"""In one program of the first sweep."""

CLASSES, AT_A_TIME = 32, 32
"""Classes of one program of the second sweep, and how many pixels of its tile it takes at a time."""

NO_STRIDES = (0, 0, 0)


class SweptPixels(NamedTuple):
    """Results of the first sweep; None for those not chosen.

    Attributes:
        lse: `(B, H, W)` log-sum-exps.
        heavy: `(B, H, W)` bytes, 1 where a pixel is penalised.
        losses: `(B, H, W)` cross-entropies.
        sums: Of the weighted losses, one for each program.
        pulls: Of the smooth-L1 distances, likewise.
        moves: `(B, 2, H, W)` gradient to the offsets.
    """

    lse: Tensor | None
    heavy: Tensor | None
    losses: Tensor | None
    sums: Tensor | None
    pulls: Tensor | None
    moves: Tensor | None


def sweep_pixels(
    job: Job, offsets: Tensor, *, grad: Tensor | None = None, gradient: bool = False, losses: bool = False
) -> SweptPixels:
    """First sweep: losses alone, or their sums, and gradients to the offsets."""
    B, H, W = job.labels.shape
    blocks = triton.cdiv(H * W, PIXELS)
    guided, pulled = job.terms["guided"] is not None, job.terms["regression"] is not None
    wide = 2 * max(H * (job.coarse[0] + 1), W * (job.coarse[1] + 1)) >= 2**31
    plain = sweep(job, losses=True).losses if guided and not pulled else None
    swept = SweptPixels(
        job.empty(B, H, W) if gradient else None,
        torch.empty(B, H, W, dtype=torch.uint8, device=offsets.device) if gradient and guided else None,
        job.empty(B, H, W) if losses else None,
        job.empty(B * blocks) if job.divisors is not None else None,
        job.empty(B * blocks) if pulled else None,
        torch.empty_like(offsets, memory_format=torch.contiguous_format) if gradient else None,
    )
    launch(
        pixels_kernel, B * blocks,
        *job.packed, plain, job.labels, *job.labels.stride(),
        offsets, *offsets.stride(), grad, *(NO_STRIDES if grad is None else grad.stride()),
        job.weight, job.weight_sum, job.divisors, *swept,
        *job.sizes, blocks, job.smoothing, job.criterion["ignore_index"],
        job.penalty, job.strength, job.terms["window"],
        GUIDED=(PENALIZE.value if job.terms["ties"] == "penalize" else SPARE.value) if guided else 0,
        REGRESSION=pulled, WIDE=wide, BP=PIXELS, num_warps=PIXELS // 32, **job.options,
    )  # fmt: skip
    return swept


def scatter(
    job: Job, scores: Tensor, offsets: Tensor, swept: SweptPixels, *, grad: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Second sweep and conversion: gradient to the scores, and the loss, undefined without sums."""
    (B, H, W), (h, w), S = job.labels.shape, job.coarse, job.packed.scores.shape[1]
    fixed = torch.are_deterministic_algorithms_enabled()
    unit = fixed_point_unit(job, grad) if fixed else None
    room = B * h * w * S
    target = torch.zeros(room + 1, dtype=torch.int64 if fixed else torch.float32, device=scores.device)
    flag = target[room:] if fixed else None
    tile, window = tiling(H / h, W / w)
    classes = min(max(triton.next_power_of_2(S), 16), CLASSES)
    tiles_y, tiles_x = triton.cdiv(max(h - 1, 1), tile), triton.cdiv(max(w - 1, 1), tile)
    blocks = triton.cdiv(S, classes)
    launch(
        scatter_kernel, B * tiles_y * tiles_x * blocks,
        job.packed.scores, job.labels, *job.labels.stride(),
        offsets, *offsets.stride(), grad, *(NO_STRIDES if grad is None else grad.stride()),
        job.weight, job.weight_sum, swept.lse, swept.heavy, unit, target, flag,
        *job.sizes, tiles_y, tiles_x, blocks, job.smoothing, job.penalty,
        TILE=tile, WINDOW=window, PRECISION=precision(scores, window),
        BP=AT_A_TIME, BC=classes, num_warps=window, num_stages=1, **job.options,
    )  # fmt: skip
    gradient = torch.empty_like(scores, memory_format=torch.contiguous_format)
    loss, locations = job.empty(), B * h * w
    count = 0 if swept.sums is None else swept.sums.numel()
    launch(
        unpack_kernel, triton.cdiv(locations, 16),
        target, unit, flag, gradient, *gradient.stride(),
        swept.sums, count, job.divisors, swept.pulls, job.strength, loss,
        locations, *job.sizes[2:], BC=32, BP=16, num_warps=4,
    )  # fmt: skip
    return gradient, loss


def tiling(factor_y: float, factor_x: float) -> tuple[int, int]:
    """Cells along a tile, which has about 8×8 pixels, and coarse locations along its window."""
    factor = max(min(factor_y, factor_x), 1.0)
    return (1, 4) if factor > 5 else (min(round(8 / factor), 5), 8)


def precision(scores: Tensor, window: int) -> str:
    """How window weights and gradients are multiplied.

    In float32 where the window is small; where it is large, on tensor cores as three products of halves (22 bits).
    """
    cores = scores.is_cuda and torch.version.hip is None and torch.cuda.get_device_capability(scores.device) >= (8, 0)
    return "tf32x3" if cores and window > 4 else "ieee"


def fixed_point_unit(job: Job, grad: Tensor | None) -> Tensor:
    """How many units make one, a power of two; computed on the device, without waiting for it."""
    _, H, W = job.labels.shape
    bound = torch.full((), 1.0 + job.penalty, dtype=torch.float64, device=job.labels.device)
    for factor in (job.weight, grad):
        if factor is not None:
            bound = bound * factor.abs().amax()
    return (62 - (bound * (H * W)).log2()).floor().clamp(-120, 120).exp2().float()


def loss(
    scores: Tensor,
    offsets: Tensor | None,
    labels: Tensor,
    divisors: Tensor,
    *,
    gradient: bool,
    **options: Unpack[DisplacedOptions],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Loss, with `divisors` those of the cross-entropy and of the pull, and its gradients to scores and offsets."""
    if offsets is None:
        return *bilinear(scores, labels, divisors, gradient=gradient, **options), None
    with device_of(scores):
        work = job(scores, labels, options, maps=options["regression"] is not None)
        work = work._replace(terms=options, divisors=divisors.contiguous())
        swept = sweep_pixels(work, offsets, gradient=gradient)
        if gradient:
            to_scores, total = scatter(work, scores, offsets, swept)
            return total, to_scores, swept.moves
        assert swept.sums is not None
        total = work.empty()
        launch(total_kernel, 1, swept.sums, swept.sums.numel(), work.divisors, swept.pulls, work.strength, total)
        return total, None, None


def pixels(scores: Tensor, offsets: Tensor | None, labels: Tensor, **criterion: Unpack[Options]) -> Tensor:
    """`(B, H, W)` cross-entropies, 0 where the label is ignored."""
    if offsets is None:
        return bilinear_pixels(scores, labels, **criterion)
    with device_of(scores):
        losses = sweep_pixels(job(scores, labels, criterion), offsets, losses=True).losses
    assert losses is not None
    return losses


def pixels_backward(
    grad: Tensor, scores: Tensor, offsets: Tensor | None, labels: Tensor, **criterion: Unpack[Options]
) -> tuple[Tensor, Tensor | None]:
    """Gradients of `sum(grad * losses)` to scores and offsets."""
    if offsets is None:
        return bilinear_pixels_backward(grad, scores, labels, **criterion), None
    with device_of(scores):
        work = job(scores, labels, criterion)
        swept = sweep_pixels(work, offsets, grad=grad, gradient=True)
        to_scores, _ = scatter(work, scores, offsets, swept, grad=grad)
    return to_scores, swept.moves
