"""Cross-entropy of bilinearly upsampled scores and its gradient, phase by phase.

A pixel at place f of a cell adds `(1 - f) · g` to the gradient of the cell's left end and `f · g` to that of its right
end. Both are summed up over the phases of a row, and only the sums are folded into rows and padding.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.cross_entropy.banded.criterion import Criterion, Targets
from offstride.ops.cross_entropy.banded.upsampling import Rows, Upsampling


def total_loss(
    upsampling: Upsampling, labels: Tensor, criterion: Criterion, *, gradient: bool, factors: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Sum of the pixels' losses, each times its factor if there are `(B, H, W)` factors, and on request its gradient to
    the scores, both in the type of the computation.
    """
    sums, total = [], torch.zeros_like(upsampling.coarse[0]) if gradient else None
    for band in upsampling.bands():
        rows = upsampling.rows(band)
        present = upsampling.present(band)
        targets = criterion.targets(upsampling.pick(labels, band), rows.scores.dtype, present)
        if factors is not None:
            targets = targets.scaled(upsampling.pick(factors, band).to(rows.scores))
        losses, part = row_losses(rows, targets, criterion, gradient=gradient)
        sums.append(losses.sum())
        if total is not None and part is not None:
            upsampling.add_rows(part, total, band)
    return torch.stack(sums).sum(), None if total is None else upsampling.unpad(total)


def pixel_losses(upsampling: Upsampling, labels: Tensor, criterion: Criterion) -> Tensor:
    """`(B, H, W)` losses, 0 where a pixel does not count."""
    losses = upsampling.coarse[0].new_empty(labels.shape)
    for band in upsampling.bands():
        rows = upsampling.rows(band)
        targets = criterion.targets(upsampling.pick(labels, band), rows.scores.dtype)
        upsampling.put(row_losses(rows, targets, criterion, gradient=False)[0], losses, band)
    return losses


def row_losses(rows: Rows, targets: Targets, criterion: Criterion, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
    """Losses of a band.

    Returns:
        `(n, P, R, N)` losses and, on request, the `(n, C, R, N + 1)` gradient of their sum to the scores of the rows.
    """
    totals, label = torch.empty_like(targets.own), torch.empty_like(targets.own)
    spread = None if targets.even is None else torch.empty_like(label)
    ends = Ends.zeros(rows) if gradient else None
    mass = criterion.mass(targets)
    for t, phase in enumerate(rows.phases(targets.classes, label)):
        totals[:, t] = phase.total[:, 0]
        if spread is not None:
            spread[:, t] = phase.log_sum()[:, 0]
        if ends is not None:
            ends.add(phase.values, mass[:, t : t + 1] / phase.total, rows.fraction[t])
    if spread is not None:
        mean, slope = map(criterion.weighted_sum, rows.ends())
        spread.mul_(criterion.weight_sum).sub_(mean + slope * rows.fraction[:, None])
    losses = targets.losses(rows.gap(totals, label), spread)
    if ends is None:
        return losses, None
    ends.subtract_targets(targets, rows.fraction, criterion)
    return losses, ends.joined()


class Ends(NamedTuple):
    """Gradients to the `(n, C, R, N)` scores at the left and at the right of all cells."""

    left: Tensor
    right: Tensor

    @classmethod
    def zeros(cls, rows: Rows) -> "Ends":
        """Nothing yet."""
        n, C, R, N = rows.scores[..., 1:].shape
        return cls(rows.scores.new_zeros(n, C, R, N), rows.scores.new_zeros(n, C, R, N))

    def add(self, values: Tensor, share: Tensor, fraction: Tensor) -> None:
        """Add the probabilities `values · share` of a phase; `share` is lost."""
        right = share * fraction
        self.right.addcmul_(values, right)
        self.left.addcmul_(values, share.sub_(right))

    def subtract_targets(self, targets: Targets, fraction: Tensor, criterion: Criterion) -> None:
        """Subtract the targets of all phases."""
        fraction = fraction[:, None]
        # Two phases may name the same class of a cell: in one call, only a CPU adds them in a fixed order.
        together = len(fraction) if self.left.device.type == "cpu" else 1
        for gradient, part in ((self.left, 1 - fraction), (self.right, fraction)):
            amounts = (targets.own * part).neg_()
            for classes, amount in zip(targets.classes.split(together, 1), amounts.split(together, 1), strict=True):
                gradient.scatter_add_(1, classes, amount)
            if targets.even is not None:
                criterion.add_evenly(gradient, (targets.even * part).sum(1, keepdim=True).neg_())

    def joined(self) -> Tensor:
        """`(n, C, R, N + 1)`: the right end of a cell is the left end of the next."""
        gradient = F.pad(self.left, (0, 1))
        gradient[..., 1:].add_(self.right)
        return gradient
