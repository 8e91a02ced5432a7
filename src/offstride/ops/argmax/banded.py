"""Label maps, confidences and confusion counts of upsampled scores in plain PyTorch, on any device, without the
full-resolution scores.

A label map is the running maximum over planes: one class of a band of pixels is rendered after the other, compared with
the best so far and forgotten. That costs the same whatever the scores, and no plane leaves a cache.

Shapes: scores (B, C, h, w), offsets (B, 2M, H, W).
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from offstride.ops.cross_entropy.banded.tiled import Reading, RowBand
from offstride.ops.cross_entropy.banded.upsampling import Rows, Upsampling
from offstride.ops.grid import Origin, coordinate_dtype
from offstride.ops.labels import is_valid, label_dtype

PLANE = 1 << 16
"""Pixels of a plane."""

COUNTED = 1 << 20
"""Pixels that are counted by one call."""


@torch.no_grad()
def labels(scores: Tensor, offsets: Tensor | None, size: tuple[int, int], *, origin: Origin) -> Tensor:
    """Most likely class of every pixel, the first of several: `(B, H, W)`, uint8 up to 256 classes and int64 above."""
    dtype = label_dtype(scores.shape[1])
    best = torch.empty(len(scores), *size, dtype=dtype, device=scores.device)
    if offsets is None:
        upsampling = Upsampling(scores, size, origin)
        for band in upsampling.bands(scores.shape[1] * PLANE // len(upsampling.x.fine)):
            upsampling.put(_most_likely(_phase_planes(upsampling.rows(band))).to(dtype), best, band)
    else:
        reading = Reading(scores, offsets, origin)
        for band in reading.bands():
            best[band.images, band.rows] = _read(reading, band)[0].max(1).indices.to(dtype)
    return best


@torch.no_grad()
def confidence(scores: Tensor, offsets: Tensor | None, size: tuple[int, int], *, origin: Origin) -> Tensor:
    """Softmax probability of the most likely class of every pixel: `(B, H, W)`, float32 or better."""
    shares = scores.new_empty((len(scores), *size), dtype=coordinate_dtype(scores.dtype))
    if offsets is None:
        upsampling = Upsampling(scores, size, origin)
        for band in upsampling.bands():
            phases = upsampling.rows(band).phases()
            most = [phase.values.amax(1, keepdim=True) / phase.total for phase in phases]
            upsampling.put(torch.cat(most, 1), shares, band)
        return shares
    reading = Reading(scores, offsets, origin)
    for band in reading.bands():
        values, lost = _read(reading, band)
        most = values.sub_(values.amax(1, keepdim=True)).exp_().sum(1).reciprocal_()
        shares[band.images, band.rows] = most if lost is None else most.masked_fill(lost, torch.nan)
    return shares


@torch.no_grad()
def confusion(scores: Tensor, offsets: Tensor | None, target: Tensor, *, origin: Origin, ignore_index: int) -> Tensor:
    """`(C, C)` int64 numbers of pixels of every true class (rows) and most likely class (columns)."""
    C = scores.shape[1]
    predicted = labels(scores, offsets, (target.shape[1], target.shape[2]), origin=origin)
    dtype, columns = (torch.int32, 256) if C <= 256 else (torch.int64, C)
    counts = torch.zeros((C + 1) * columns, dtype=torch.int64, device=scores.device)
    for truth, guess in zip(target.flatten().split(COUNTED), predicted.flatten().split(COUNTED), strict=True):
        ignored = ~is_valid(truth, ignore_index)
        pairs = truth.to(dtype).masked_fill(ignored, C).mul_(columns).add_(guess)  # one more row, for the ignored
        counts += torch.bincount(pairs, minlength=len(counts))
    return counts.view(C + 1, columns)[:C, :C].clone()


def _most_likely(planes: Iterable[Tensor]) -> Tensor:
    """Index of the plane with the first largest number at every place, in the floating-point type of the planes, which
    is compared and kept faster than booleans and integers are.
    """
    planes = iter(planes)
    best = next(planes).clone(memory_format=torch.contiguous_format)
    index_of_best, higher = torch.zeros_like(best), torch.empty_like(best)
    for index, plane in enumerate(planes, 1):
        torch.gt(plane, best, out=higher)
        torch.maximum(index_of_best, higher.mul_(index), out=index_of_best)
        torch.maximum(best, plane, out=best)
    return index_of_best


def _phase_planes(rows: Rows) -> Iterator[Tensor]:
    """`(n, P, R, N)` scores of each class, one after the other in the same memory."""
    fraction, out = rows.fraction[:, None], None
    for scores in rows.scores.split(1, 1):
        out = torch.lerp(scores[..., :-1], scores[..., 1:], fraction, out=out)
        yield out


def _read(reading: Reading, band: RowBand) -> tuple[Tensor, Tensor | None]:
    """`(n, C, R, W)` scores of a band, and which pixels have NaN offsets, see `Reading.at`."""
    reader, inside, lost = reading.at(band)
    return reader.read().unflatten(0, inside.shape[:2]).flatten(1, 2), lost
