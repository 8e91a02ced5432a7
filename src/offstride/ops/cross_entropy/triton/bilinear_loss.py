"""Bilinear upsampling and cross-entropy on CUDA: two sweeps over the pixels of each coarse cell, and no atomics.

1. `losses_kernel` finds loss and log-sum-exp of every pixel, running over the classes, so that any number will do.
2. `gradient_kernel`: with the log-sum-exps, the softmax of a class needs no other class. A thread walks over the pixels
   of its cell and keeps the gradients of the four corners in registers; neighbouring cells of one program add up what
   falls on a common corner.
3. `gather_kernel`: every coarse location adds the few contributions that programs left in places of their own, in a
   fixed order: same bits in every run.

Shapes: scores (B, C, h, w), labels (B, H, W). See `place` for cells and `pack` for what the kernels read.
"""

from typing import Any, NamedTuple, Unpack

import torch
import triton
from torch import Tensor

from offstride.ops.cross_entropy.options import NO_TERMS, Options, Terms
from offstride.ops.cross_entropy.triton.bilinear_kernels import gather_kernel, gradient_kernel, losses_kernel
from offstride.ops.cross_entropy.triton.launch import device_of, launch
from offstride.ops.cross_entropy.triton.pack import Packed, pack
from offstride.ops.cross_entropy.triton.total import total_kernel
from offstride.ops.grid import origin_code

COLUMNS, ROWS = 64, 4
"""Of pixels, in one program of the first sweep."""

CELLS, CLASSES = 8, 32
"""In one program of the second sweep: four classes of a cell for each thread."""

LOCATIONS = 16
"""In one program of the last step."""


class Job(NamedTuple):
    """What losses are computed of, and how; location-aware terms apply where there are offsets, and with divisors."""

    packed: Packed
    labels: Tensor
    coarse: tuple[int, int]
    classes: int
    weight: Tensor | None
    weight_sum: Tensor | None
    criterion: Options
    terms: Terms = NO_TERMS
    divisors: Tensor | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """H, W, h, w, C and a quarter of S."""
        return *self.labels.shape[1:], *self.coarse, self.classes, self.packed.scores.shape[1] // 4

    @property
    def smoothing(self) -> float:
        return float(self.criterion["label_smoothing"])

    @property
    def penalty(self) -> float:
        return float(self.terms["guided"] or 0.0)

    @property
    def strength(self) -> float:
        return float(self.terms["regression"] or 0.0)

    @property
    def options(self) -> dict[str, Any]:
        """What all sweeps are compiled with."""
        return {"ORIGIN": origin_code(self.criterion["origin"]), "SMOOTH": self.smoothing > 0}

    def empty(self, *shape: int) -> Tensor:
        """Room for float32 numbers."""
        return torch.empty(shape, dtype=torch.float32, device=self.labels.device)


def job(scores: Tensor, labels: Tensor, criterion: Options, *, maps: bool = False) -> Job:
    """Pack the scores."""
    weight = criterion["weight"]
    weight = None if weight is None else weight.float().contiguous()
    total = None if weight is None or not criterion["label_smoothing"] else weight.sum()
    C, h, w = scores.shape[1:]
    return Job(pack(scores, maps=maps, weight=weight), labels, (h, w), C, weight, total, criterion)


class Swept(NamedTuple):
    """Results of the first sweep: `(B, H, W)` log-sum-exps and losses, and a sum of losses for each program."""

    lse: Tensor | None
    losses: Tensor | None
    sums: Tensor | None


def sweep(job: Job, *, lse: bool = False, losses: bool = False, sums: bool = False) -> Swept:
    """First sweep, for the chosen results."""
    (B, H, W), h = job.labels.shape, job.coarse[0]
    strips, chunks = triton.cdiv(W, COLUMNS), triton.cdiv(triton.cdiv(H, h), ROWS)
    programs = B * max(h - 1, 1) * chunks * strips
    swept = Swept(
        job.empty(B, H, W) if lse else None,
        job.empty(B, H, W) if losses else None,
        job.empty(programs) if sums else None,
    )
    launch(
        losses_kernel, programs,
        job.packed.scores, job.labels, *job.labels.stride(), job.weight, job.weight_sum, *swept,
        *job.sizes, strips, chunks, job.smoothing, job.criterion["ignore_index"],
        R=ROWS, BP=COLUMNS, num_warps=COLUMNS // 32, **job.options,
    )  # fmt: skip
    return swept


def gradient_of(
    job: Job, scores: Tensor, swept: Swept, *, grad: Tensor | None = None, divisor: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Second sweep and last step.

    Args:
        job: What the losses are computed of.
        scores: The gradient has their shape and type.
        swept: With log-sum-exps, and with sums if there is a divisor.
        grad: `(B, H, W)` factor of each pixel, of any strides.
        divisor: Of loss and gradient.

    Returns:
        `(B, C, h, w)` gradient, and the loss, undefined without sums.
    """
    (B, _, _), (h, w), S = job.labels.shape, job.coarse, job.packed.scores.shape[1]
    classes = min(max(triton.next_power_of_2(S), 16), CLASSES)
    rows, strips, blocks = B * max(h - 1, 1), triton.cdiv(max(w - 1, 1), CELLS), triton.cdiv(S, classes)
    edges = job.empty(2, rows, strips, CELLS + 1, S)
    half = edges[0].numel()
    launch(
        gradient_kernel, rows * strips * blocks,
        job.packed.scores, job.labels, *job.labels.stride(), job.weight, job.weight_sum,
        swept.lse, grad, *((0, 0, 0) if grad is None else grad.stride()), edges, half,
        *job.sizes, strips, blocks, job.smoothing,
        BQ=CELLS, BC=classes, num_warps=CELLS * classes // 128, **job.options,
    )  # fmt: skip
    gradient = torch.empty_like(scores, memory_format=torch.contiguous_format)
    loss, locations = job.empty(), B * h * w
    count = 0 if swept.sums is None else swept.sums.numel()
    launch(
        gather_kernel, triton.cdiv(locations, LOCATIONS),
        edges, half, gradient, *gradient.stride(), swept.sums, count, divisor, loss,
        locations, *job.sizes[2:], strips, BQ=CELLS, BC=32, BP=LOCATIONS, num_warps=4,
    )  # fmt: skip
    return gradient, loss


def bilinear(
    scores: Tensor, labels: Tensor, divisor: Tensor, *, gradient: bool, **criterion: Unpack[Options]
) -> tuple[Tensor, Tensor | None]:
    """Sum of the pixel losses over `divisor`, and its gradient to the scores."""
    with device_of(scores):
        work = job(scores, labels, criterion)
        swept = sweep(work, lse=gradient, sums=True)
        if gradient:
            to_scores, loss = gradient_of(work, scores, swept, divisor=divisor)
            return loss, to_scores
        assert swept.sums is not None
        loss = work.empty()
        launch(total_kernel, 1, swept.sums, swept.sums.numel(), divisor, None, 0.0, loss)
        return loss, None


def bilinear_pixels(scores: Tensor, labels: Tensor, **criterion: Unpack[Options]) -> Tensor:
    """`(B, H, W)` losses, 0 where the label is ignored."""
    with device_of(scores):
        losses = sweep(job(scores, labels, criterion), losses=True).losses
    assert losses is not None
    return losses


def bilinear_pixels_backward(grad: Tensor, scores: Tensor, labels: Tensor, **criterion: Unpack[Options]) -> Tensor:
    """Gradient of `sum(grad * losses)` to the scores."""
    with device_of(scores):
        work = job(scores, labels, criterion)
        return gradient_of(work, scores, sweep(work, lse=True), grad=grad)[0]
