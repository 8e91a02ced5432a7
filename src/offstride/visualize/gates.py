"""Gate maps as pictures, and what closing a gate does: "Gated Fully Fusion for Semantic Segmentation", Li et al., AAAI
2020, Fig. 9.

Shapes: label maps (H, W) integers, gate maps (h, w) in 0 … 1 on the grid of their level, pictures (H, W, 3) uint8 RGB.
"""

from dataclasses import dataclass

import numpy as np

from offstride.ops.labels import IGNORE_INDEX
from offstride.visualize.masks import Color, check_picture, greyed
from offstride.visualize.offsets import heatmap

CHANGED: Color = (217, 70, 160)
"""Pixels whose class changes, without labels that say which one is right."""


def gate_picture(gate: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Paint a gate map, 0 dark to 1 bright, each of its pixels as a flat patch.

    Args:
        gate: `(h, w)` in 0 … 1.
        size: `(H, W)` of the picture.

    Raises:
        ValueError: If the gate is not such a map.
    """
    if gate.ndim != 2 or gate.dtype.kind != "f" or gate.min() < 0 or gate.max() > 1:
        raise ValueError(f"gate: expected (h, w) floats in 0 … 1, got {gate.dtype} {gate.shape}")
    rows, columns = (
        (2 * np.arange(fine) + 1) * coarse // (2 * fine) for fine, coarse in zip(size, gate.shape, strict=True)
    )
    return heatmap(gate, 0, 1)[rows][:, columns]


def class_changes(image: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Show over a greyed picture which pixels change their class.

    Args:
        image: `(H, W, 3)` uint8.
        before: `(H, W)` predicted classes.
        after: `(H, W)` predicted classes later on.

    Raises:
        ValueError: If shapes differ.
    """
    _check_shapes(before, after)
    check_picture("image", image, before.shape)
    return np.where((before != after)[..., None], np.array(CHANGED, dtype=np.uint8), greyed(image))


@dataclass(frozen=True)
class Effect:
    """What a change of the model does to its label map. Shares are of all pixels, with labels of the labelled ones.

    Attributes:
        changed: Share of pixels whose class changes.
        broken: Share that was right and turns wrong; None without labels.
        fixed: Share that was wrong and turns right; None without labels.
        classes: At most three classes that lose the most pixels, with their share of the lost ones: true classes of the
            pixels that turn wrong, or without labels former classes of those that change.
    """

    changed: float
    broken: float | None
    fixed: float | None
    classes: list[tuple[int, float]]


def effect(before: np.ndarray, after: np.ndarray, label: np.ndarray | None = None) -> Effect:
    """Compare two label maps, with the truth if it is known.

    Args:
        before: `(H, W)` predicted classes.
        after: `(H, W)` predicted classes later on.
        label: `(H, W)` true classes, `IGNORE_INDEX` where there is none.

    Raises:
        ValueError: If shapes differ.
    """
    _check_shapes(before, after)
    changed = before != after
    if label is None:
        return Effect(float(changed.mean()), None, None, _losers(before[changed]))
    _check_shapes(before, label)
    counted = label != IGNORE_INDEX
    number = max(int(counted.sum()), 1)
    broken, fixed = counted & (before == label) & changed, counted & (after == label) & changed
    shares = [float(mask.sum()) / number for mask in (counted & changed, broken, fixed)]
    return Effect(shares[0], shares[1], shares[2], _losers(label[broken]))


def _losers(classes: np.ndarray) -> list[tuple[int, float]]:
    counts = np.bincount(classes.ravel())
    order = np.argsort(-counts, kind="stable")[:3]
    return [(int(index), float(counts[index] / counts.sum())) for index in order if counts[index]]


def _check_shapes(before: np.ndarray, after: np.ndarray) -> None:
    if before.ndim != 2 or before.shape != after.shape:
        raise ValueError(f"label maps: expected two of one (H, W), got {before.shape} and {after.shape}")
