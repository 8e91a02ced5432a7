"""Windows of label maps as runs of one label: what the label basis of DUpsampling is computed from (Tian et al., CVPR
2019, §3.1).

A window of r×r pixels is read row by row. Where labels stay the same for long, its runs are far fewer than its r²
pixels or the N = r²·n entries of its one-hot vector v, and identical windows (most are of one class) are kept once.

Shapes: B maps of H×W pixels, r window, n classes, d distinct windows, N = r²·n.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.ops.labels import IGNORE_INDEX

_PIXELS_AT_ONCE = 2**22  # pixels of label maps that are cut into windows together


@dataclass(frozen=True, eq=False)
class LabelWindows:
    """Distinct windows of labels and how often each occurs.

    Attributes:
        scale: Window r, in pixels.
        classes: Number of classes n.
        codes: `(runs,)` int32: position · (n + 1) + label of the start of every run, window by window; the position
            counts pixels row by row, and label n stands for pixels without a class (ignored, or beyond the image).
        offsets: `(d + 1,)` int64: window i has the runs `offsets[i]` … `offsets[i + 1]`.
        counts: `(d,)` int64: how often each window occurs.
        keys: `(d, 2)` int64: 128-bit fingerprint of each window, in ascending order. Windows of equal fingerprints are
            taken to be equal: among a thousand million windows two different ones share theirs with probability below
            1e-15.
    """

    scale: int
    classes: int
    codes: Tensor
    offsets: Tensor
    counts: Tensor
    keys: Tensor

    @property
    def distinct(self) -> int:
        """Number of distinct windows d."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """Number of windows m."""
        return int(self.counts.sum())

    @property
    def runs(self) -> int:
        """Number of runs of the distinct windows."""
        return len(self.codes)

    @property
    def sizes(self) -> Tensor:
        """`(d,)` number of runs of each window."""
        return self.offsets.diff()

    @property
    def positions(self) -> Tensor:
        """`(runs,)` pixel of its window at which each run starts."""
        return self.codes // (self.classes + 1)

    @property
    def labels(self) -> Tensor:
        """`(runs,)` label of each run; n for no class."""
        return self.codes % (self.classes + 1)

    @property
    def lengths(self) -> Tensor:
        """`(runs,)` pixels of each run."""
        return _ends(self.positions, self.offsets, self.scale) - self.positions

    def select(self, index: Tensor) -> "LabelWindows":
        """The windows of these indices, in this order, as often as they are named; counts and all."""
        sizes = self.sizes[index]
        offsets = _offsets(sizes)
        within = torch.arange(int(offsets[-1])) - torch.repeat_interleave(offsets[:-1], sizes)
        codes = self.codes[torch.repeat_interleave(self.offsets[:-1][index], sizes) + within]
        return LabelWindows(self.scale, self.classes, codes, offsets, self.counts[index], self.keys[index])

    def pixels(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Labels of windows `start` … `stop`: `(windows, r²)`, int64, n for no class."""
        first, last = self.offsets[start], self.offsets[self.distinct if stop is None else stop]
        labels = torch.repeat_interleave(self.labels[first:last], self.lengths[first:last])
        return labels.view(-1, self.scale**2).long()

    def dense(self, start: int = 0, stop: int | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """One-hot vectors v of windows `start` … `stop`: `(windows, N)`; pixels without a class are zeros."""
        one_hot = F.one_hot(self.pixels(start, stop), self.classes + 1)[..., : self.classes]
        return one_hot.flatten(1).to(dtype)


def label_windows(labels: Tensor, *, scale: int, classes: int, ignore_index: int = IGNORE_INDEX) -> LabelWindows:
    """Cut label maps into windows.

    Maps whose sides are no multiples of r are padded at the bottom and the right with pixels without a class: zeros in
    v (the padding of §3.1). Ignored pixels, about which the paper says nothing, are zeros in v, too.

    Args:
        labels: `(B, H, W)` or `(H, W)` integer classes.
        scale: Window r.
        classes: Number of classes n.
        ignore_index: Label of pixels without a class.

    Raises:
        ValueError: If labels are no integer maps or hold other values.
    """
    check_labels(labels, scale=scale, classes=classes, ignore_index=ignore_index)
    maps = labels if labels.dim() == 3 else labels[None]
    step = max(1, _PIXELS_AT_ONCE // max(1, maps[0].numel()))
    return merge_windows([_cut(part, scale, classes, ignore_index) for part in maps.split(step)])


def check_labels(labels: Tensor, *, scale: int, classes: int, ignore_index: int) -> None:
    """Raise a `ValueError` unless these are label maps that can be cut into windows."""
    for name, number in (("scale", scale), ("classes", classes)):
        if number < 1:
            raise ValueError(f"{name}: expected a positive whole number, got {number}")
    if scale**2 * (classes + 1) >= 2**31:
        raise ValueError(f"scale: expected windows of fewer than 2³¹ entries, got {scale}² pixels of {classes} classes")
    if labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise ValueError(f"labels: expected integers, got {labels.dtype}")
    if labels.dim() not in (2, 3) or not labels.numel():
        raise ValueError(f"labels: expected maps of shape (B, H, W) or (H, W), got {tuple(labels.shape)}")
    values = labels.long()  # bytes would be compared with -1 and 300 modulo 256
    wrong = values[((values < 0) | (values >= classes)) & (values != ignore_index)]
    if len(wrong):
        some = ", ".join(map(str, wrong.unique()[:5].tolist()))
        raise ValueError(f"labels: expected 0 … {classes - 1} or {ignore_index}, got {some}")


def split_windows(labels: Tensor, *, scale: int, classes: int, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Label maps as windows of pixels: `(B, h, w, r²)` uint8 or int32, n where there is no class or no map any more."""
    known = labels.long()
    known = known.masked_fill(known == ignore_index, classes).to(torch.uint8 if classes < 256 else torch.int32)
    B, H, W = known.shape
    known = F.pad(known, (0, -W % scale, 0, -H % scale), value=classes)
    h, w = -(-H // scale), -(-W // scale)
    return known.view(B, h, scale, w, scale).transpose(2, 3).reshape(B, h, w, scale**2)


def project_windows(pixels: Tensor, weight: Tensor) -> Tensor:
    """Products of one-hot windows with a matrix, without the windows: the sum of one row for each pixel.

    Args:
        pixels: `(windows, r²)` labels of pixels, n for no class, as `split_windows` gives them.
        weight: `(r, r, n, K)` matrix; rows of the window, columns, classes, results.

    Returns:
        `(windows, K)` values v·weight in the type of the matrix; gradients reach it.
    """
    area, classes, count = pixels.shape[1], *weight.shape[2:]
    table = F.pad(weight.flatten(0, 1), (0, 0, 0, 1)).reshape(area * (classes + 1), count)
    rows = torch.arange(area, device=pixels.device) * (classes + 1)
    return torch.cat([F.embedding_bag(rows + part, table, mode="sum") for part in pixels.split(2**12)])


def merge_windows(parts: Sequence[LabelWindows]) -> LabelWindows:
    """All windows of several parts, identical ones once.

    The result does not depend on how the windows were shared out among the parts, nor on their order.

    Raises:
        ValueError: If there are no parts, or they are of different windows or numbers of classes.
    """
    kinds = {(part.scale, part.classes) for part in parts}
    if len(kinds) != 1:
        raise ValueError(f"parts: expected windows of one scale and number of classes, got {sorted(kinds) or 'none'}")
    scale, classes = kinds.pop()
    sizes = torch.cat([part.sizes for part in parts])
    counts, keys = (torch.cat([getattr(part, name) for part in parts]) for name in ("counts", "keys"))
    both = LabelWindows(scale, classes, torch.cat([part.codes for part in parts]), _offsets(sizes), counts, keys)
    order = torch.argsort(keys[:, 1], stable=True)
    order = order[torch.argsort(keys[order, 0], stable=True)]
    new = torch.ones(len(order), dtype=torch.bool)
    new[1:] = (keys[order[1:]] != keys[order[:-1]]).any(1)
    result = both.select(order[new])
    summed = torch.zeros(result.distinct, dtype=torch.int64).index_add_(0, new.long().cumsum(0) - 1, counts[order])
    return LabelWindows(scale, classes, result.codes, result.offsets, summed, result.keys)


def _cut(maps: Tensor, scale: int, classes: int, ignore_index: int) -> LabelWindows:
    """Every window of a few maps, each counted once."""
    pixels = split_windows(maps, scale=scale, classes=classes, ignore_index=ignore_index).flatten(0, 2)
    starts = torch.ones(pixels.shape, dtype=torch.bool)
    starts[:, 1:] = pixels[:, 1:] != pixels[:, :-1]
    first = starts.flatten().nonzero()[:, 0]
    window, position, label = first // scale**2, first % scale**2, pixels.flatten()[first].long()
    offsets = _offsets(torch.bincount(window, minlength=len(pixels)))
    codes = (position * (classes + 1) + label).int()
    keys = torch.zeros(len(pixels), 2, dtype=torch.int64).index_add_(0, window, _keys(position, label, offsets, scale))
    return LabelWindows(scale, classes, codes, offsets, torch.ones(len(pixels), dtype=torch.int64), keys)


def _keys(position: Tensor, label: Tensor, offsets: Tensor, scale: int) -> Tensor:
    """`(runs, 2)` shares of fingerprints, which are sums of label · factor over pixels, modulo 2⁶⁴."""
    generator = torch.Generator().manual_seed(scale)  # the factors, two of 64 bits for each pixel, are random but fixed
    sums = _offsets(torch.randint(-(2**63), 2**63 - 1, (scale**2, 2), generator=generator) | 1)
    return label[:, None] * (sums[_ends(position, offsets, scale)] - sums[position])


def _ends(positions: Tensor, offsets: Tensor, scale: int) -> Tensor:
    """`(runs,)` pixel of its window before which each run ends."""
    ends = torch.cat([positions[1:], positions.new_zeros(1)])
    ends[offsets[1:] - 1] = scale**2
    return ends


def _offsets(sizes: Tensor) -> Tensor:
    return torch.cat([sizes.new_zeros(1, *sizes.shape[1:]), sizes.cumsum(0)])
