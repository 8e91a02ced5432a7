"""The cross-entropy of a pixel in the terms that the banded forms compute it in.

With scores v, label y, class weights w, smoothing s and `lse = logsumexp(v)`, a pixel loses

    (1 - s) · w_y · (lse - v_y)  +  s / C · Σ_c w_c (lse - v_c)  =  own · gap  +  even · spread,

whose gradient to v_c is `(own + even · Σ w) · p_c - own · [c = y] - even · w_c`. It sums to zero over the classes, so
that any number may be subtracted from all scores of a pixel, or of a coarse location, beforehand.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from offstride.ops.cross_entropy.options import Options
from offstride.ops.grid import coordinate_dtype
from offstride.ops.labels import is_valid

SAFE_RANGE = 80.0
"""Scores within this range of the largest one have an exponential, and a quotient of two, in float32."""


class Targets(NamedTuple):
    """What the labels say of some pixels.

    Attributes:
        classes: int64 class to look up, 0 where a pixel does not count.
        ignored: Where a pixel does not count.
        own: Factor of the label's own loss, 0 where a pixel does not count.
        even: Factor of the loss that label smoothing spreads over all classes; None without smoothing.
    """

    classes: Tensor
    ignored: Tensor
    own: Tensor
    even: Tensor | None

    def scaled(self, factor: Tensor) -> "Targets":
        """The same with the loss of every pixel multiplied by a factor."""
        factor = factor.masked_fill(self.ignored, 0)
        even = None if self.even is None else self.even * factor
        return self._replace(own=self.own * factor, even=even)

    def losses(self, gap: Tensor, spread: Tensor | None) -> Tensor:
        """Losses of the pixels, in place of `gap`; 0 where a pixel does not count, whatever its scores are."""
        losses = gap.mul_(self.own)
        if self.even is not None and spread is not None:
            losses.addcmul_(self.even, spread)
        return losses.masked_fill_(self.ignored, 0)


class Criterion(NamedTuple):
    """Options of the cross-entropy.

    Attributes:
        classes: Number C of classes.
        weight: `(C,)` class weights in the type of the computation, or None.
        smoothing: Share of the target spread over all classes.
        ignore_index: Label of pixels that do not count.
    """

    classes: int
    weight: Tensor | None
    smoothing: float
    ignore_index: int

    @classmethod
    def of(cls, scores: Tensor, dtype: torch.dtype, options: Options) -> "Criterion":
        """Options for `(B, C, h, w)` scores and a type of the computation."""
        weight = None if options["weight"] is None else options["weight"].to(scores.device, dtype)
        return cls(scores.shape[1], weight, options["label_smoothing"], options["ignore_index"])

    def targets(self, labels: Tensor, dtype: torch.dtype, present: Tensor | None = None) -> Targets:
        """Look up labels of any shape; pixels that are not `present` do not count."""
        valid = is_valid(labels, self.ignore_index)
        if present is not None:
            valid &= present
        ignored = ~valid
        classes = labels.masked_fill(ignored, 0).long()
        counted = valid.to(dtype)
        own = counted if self.weight is None else counted * self.weight[classes]
        if not self.smoothing:
            return Targets(classes, ignored, own, None)
        return Targets(classes, ignored, own * (1 - self.smoothing), counted * (self.smoothing / self.classes))

    def mass(self, targets: Targets) -> Tensor:
        """`own + even · Σ w`: factor of the probabilities in the gradient."""
        if targets.even is None:
            return targets.own
        return targets.own + targets.even * self.weight_sum

    @property
    def weight_sum(self) -> float | Tensor:
        """Σ w over the classes."""
        return self.classes if self.weight is None else self.weight.sum()

    def weighted_sum(self, scores: Tensor) -> Tensor:
        """Σ w_c v_c over dimension 1, which is kept."""
        return (scores if self.weight is None else scores * self._column(scores)).sum(1, keepdim=True)

    def add_evenly(self, gradient: Tensor, amount: Tensor) -> None:
        """Add `w_c · amount` to every class of a `(n, C, …)` gradient; `amount` is `(n, 1, …)`."""
        if self.weight is None:
            gradient.add_(amount)
        else:
            gradient.addcmul_(amount, self._column(gradient))

    def _column(self, like: Tensor) -> Tensor:
        assert self.weight is not None
        return self.weight.view(-1, *(1,) * (like.ndim - 2))


def exponentiate(values: Tensor) -> Tensor:
    """`exp` in place. PyTorch's `exp2` is several times faster on a CPU, and the rounding of the product no larger than
    that of interpolated scores.
    """
    return values.mul_(math.log2(math.e)).exp2_() if values.device.type == "cpu" else values.exp_()


def shifted(scores: Tensor, *, together: bool = True) -> tuple[Tensor, bool]:
    """Scores in float32 or better, less the maximum over the classes at every coarse location, and whether they are
    known to lie within `SAFE_RANGE`.

    Interpolated scores are then at most 0, so that they need no maximum of their own. Values are
    looked at on a CPU only: elsewhere that would wait for the device.

    Args:
        scores: `(B, C, h, w)`.
        together: Whether a pixel reads all classes at the same place; if not, one maximum serves a whole image.
    """
    values = scores.to(coordinate_dtype(scores.dtype))
    values = values - values.amax(1 if together else (1, 2, 3), keepdim=True)
    return values, values.device.type == "cpu" and bool(values.amin() >= -SAFE_RANGE)
