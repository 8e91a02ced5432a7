"""Cross-entropy of scores read at displaced positions, and its gradients, a band of rows at a time.

A band is rendered, turned in place into exponentials and then into the gradient to its scores, and spread over the
coarse scores and the offsets before the next one is rendered.

Shapes: n images and R rows of a band, C classes, M offset groups.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from offstride.ops.cross_entropy.banded.criterion import Criterion, exponentiate, shifted
from offstride.ops.cross_entropy.banded.reader import Maps, Reader, readable
from offstride.ops.grid import Origin, coordinate_dtype, located_coordinates

BAND_BYTES = {"cpu": 5 << 20}
"""Size of a rendered band. On a CPU it fits a cache; elsewhere fewer, larger calls pay."""

DEFAULT_BAND_BYTES = 32 << 20


class Judgement(NamedTuple):
    """What location-aware terms make of the losses of a band.

    Attributes:
        factor: `(n, R, W)` weights of the losses; None stands for 1.
        pull: Sum over the pixels of the pull towards better places, or None.
        drift: `(n, 2M, R, W)` gradient of `pull` to the offsets, or None.
    """

    factor: Tensor | None = None
    pull: Tensor | None = None
    drift: Tensor | None = None


class RowBand(NamedTuple):
    """A part of the work: some images and some fine rows."""

    images: slice
    rows: slice


Judge = Callable[[RowBand, Tensor], Judgement]
"""Judges the `(n, R, W)` losses of a band."""


@dataclass(frozen=True)
class Reading:
    """Coarse `(B, C, h, w)` scores that are read at the places of `(B, 2M, H, W)` offsets."""

    scores: Tensor
    offsets: Tensor
    origin: Origin

    @property
    def dtype(self) -> torch.dtype:
        """Type of the computation."""
        return torch.promote_types(coordinate_dtype(self.scores.dtype), coordinate_dtype(self.offsets.dtype))

    def shifted(self) -> tuple[Tensor, bool]:
        """Shifted scores in the type of the computation, and whether they are known to be narrow."""
        return shifted(self.scores.to(self.dtype), together=self.groups == 1)

    @cached_property
    def maps(self) -> tuple[Maps, bool]:
        """The shifted scores, `(B · M, C / M, h, w)`, to be read, and whether they are known to be narrow."""
        values, narrow = self.shifted()
        return readable(values.reshape(len(values) * self.groups, -1, *values.shape[2:])), narrow

    @cached_property
    def moves(self) -> Tensor:
        """Offsets that are in the type of the computation once a band of them is made float32 or better."""
        return self.offsets if coordinate_dtype(self.offsets.dtype) == self.dtype else self.offsets.to(self.dtype)

    @property
    def groups(self) -> int:
        """Number M of groups of channels that are read at the same places."""
        return self.offsets.shape[1] // 2

    @cached_property
    def may_be_nan(self) -> bool:
        """Whether an offset may be NaN; looked at on a CPU only, elsewhere that would wait for the device."""
        return self.offsets.device.type != "cpu" or bool(self.offsets.isnan().any())

    def bands(self) -> Iterator[RowBand]:
        """Cut the work into bands of `BAND_BYTES`, but of one row at least."""
        (B, C), (H, W) = self.scores.shape[:2], self.offsets.shape[2:]
        pixels = BAND_BYTES.get(self.scores.device.type, DEFAULT_BAND_BYTES) // (self.dtype.itemsize * C)
        rows = max(1, pixels // W)
        images = max(1, rows // H)
        for image in range(0, B, images):
            for row in range(0, H, rows):
                yield RowBand(slice(image, min(image + images, B)), slice(row, min(row + rows, H)))

    def displacements(self, band: RowBand) -> Tensor:
        """`(n, 2M, R, W)` offsets of a band in the type of the computation."""
        return self.moves[band.images, :, band.rows].to(self.dtype)

    def at(self, band: RowBand) -> tuple[Reader, Tensor, Tensor | None]:
        """What reads a band.

        Returns:
            A reader at the clamped coordinates, 0 in place of NaN; whether each of these `(n, M, 2, R, W)` lay on the
            map; and the `(n, R, W)` pixels that had a NaN, None where that is known to be none.
        """
        rows, size = (band.rows.start, band.rows.stop), (self.scores.shape[2], self.scores.shape[3])
        coordinates = located_coordinates(self.moves[band.images], size, self.origin, rows=rows)
        lost = None
        if self.may_be_nan:  # of NaN coordinates, `grid_sample` would write outside the map
            lost = coordinates.isnan().flatten(1, 2).any(1)
            coordinates = coordinates.nan_to_num(0.0)
        clamped = torch.stack([axis.clamp(0, n - 1) for axis, n in zip(coordinates.unbind(2), size, strict=True)], 2)
        maps = slice(band.images.start * self.groups, band.images.stop * self.groups)
        return self.maps[0].at(maps, clamped.flatten(0, 1)), clamped == coordinates, lost


def total_loss(
    reading: Reading,
    labels: Tensor,
    criterion: Criterion,
    judge: Judge,
    divisors: Tensor,
    *,
    strength: float,
    gradient: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Sum of the losses as a judge weighs them over `divisors[0]`, plus `strength` times the pull over `divisors[1]`.

    Returns:
        The sum in the type of the computation and, on request, its gradients to scores and offsets, in their types.
    """
    divisors = divisors.to(reading.dtype)
    maps = reading.maps[0]
    gradients = (maps.new_gradient(), torch.empty_like(reading.offsets)) if gradient else None

    def band_loss(band: RowBand) -> Tensor:
        """A function of its own, so that a band is forgotten before the next is rendered; its gradients are added."""
        scores = BandScores(reading, band, labels, criterion)
        judgement = judge(band, scores.losses)
        weighed = scores.losses if judgement.factor is None else scores.losses * judgement.factor
        loss = weighed.sum() / divisors[0]
        if judgement.pull is not None:
            loss = loss + judgement.pull * strength / divisors[1]
        if gradients is not None:
            offsets = scores.backward(judgement.factor, gradients[0]).div_(divisors[0])
            if judgement.drift is not None:
                offsets.add_(judgement.drift.mul_(strength / divisors[1]))
            gradients[1][band.images, :, band.rows] = offsets
        return loss

    loss = torch.stack([band_loss(band) for band in reading.bands()]).sum()
    if gradients is None:
        return loss, None, None
    to_scores = maps.finish(gradients[0]).view_as(reading.scores) / divisors[0]
    return loss, to_scores.to(reading.scores.dtype), gradients[1]


def pixel_losses(reading: Reading, labels: Tensor, criterion: Criterion) -> Tensor:
    """`(B, H, W)` losses, 0 where a pixel does not count."""
    dtype = coordinate_dtype(reading.scores.dtype)
    losses = torch.empty(labels.shape, dtype=dtype, device=labels.device)
    for band in reading.bands():
        losses[band.images, band.rows] = BandScores(reading, band, labels, criterion).losses
    return losses


class BandScores:
    """The scores of a band: what is read, then its exponentials, then the gradient to it, all in the same memory.

    Args:
        reading: What is read and where.
        band: The band.
        labels: `(B, H, W)` labels of the whole map.
        criterion: How losses are counted.

    Attributes:
        losses: `(n, R, W)` losses, 0 where a pixel does not count.
    """

    def __init__(self, reading: Reading, band: RowBand, labels: Tensor, criterion: Criterion) -> None:
        self.reader, self.inside, lost = reading.at(band)
        self.criterion = criterion
        self.targets = criterion.targets(labels[band.images, None, band.rows], reading.dtype)
        if lost is not None:
            self.targets.own.masked_fill_(lost[:, None] & ~self.targets.ignored, torch.nan)
        self.values = self.reader.read().unflatten(0, self.inside.shape[:2]).flatten(1, 2)
        self.losses = self._exponentiate(reading.maps[1])[:, 0]

    def _exponentiate(self, narrow: bool) -> Tensor:
        values, classes = self.values, self.targets.classes
        mean = None if self.targets.even is None else self.criterion.weighted_sum(values)
        peak = None if narrow else values.amax(1, keepdim=True)
        if peak is None:
            self.total = exponentiate(values).sum(1, keepdim=True)
            gap = (self.total / values.gather(1, classes)).log_()  # keeps the small losses of nearly certain pixels
        else:
            label = values.sub_(peak).gather(1, classes)
            self.total = exponentiate(values).sum(1, keepdim=True)
            gap = self.total.log().sub_(label)
        if mean is None:
            return self.targets.losses(gap, None)
        log_sum = self.total.log() if peak is None else self.total.log() + peak
        return self.targets.losses(gap, log_sum * self.criterion.weight_sum - mean)

    def backward(self, factor: Tensor | None, total: Tensor) -> Tensor:
        """Gradients of the sum of `losses` times `(n, R, W)` factors, can be called once.

        Args:
            factor: The factors; None stands for 1.
            total: Receives the gradient to what is read, see `TableReader.spread`.

        Returns:
            `(n, 2M, R, W)` gradient to the offsets of the band.
        """
        targets = self.targets if factor is None else self.targets.scaled(factor[:, None])
        gradient = self.values.mul_(self.criterion.mass(targets) / self.total)
        gradient.scatter_add_(1, targets.classes, -targets.own)
        if targets.even is not None:
            self.criterion.add_evenly(gradient, -targets.even)
        of_maps = gradient.unflatten(1, (self.inside.shape[1], -1)).flatten(0, 1)
        coordinates = self.reader.spread(of_maps, total)
        return coordinates.reshape(self.inside.shape).masked_fill_(~self.inside, 0).flatten(1, 2)
