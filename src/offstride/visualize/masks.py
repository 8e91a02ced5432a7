"""Label maps as pictures.

Shapes: label maps (H, W) integers, pictures (H, W, 3) uint8 RGB.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from offstride.ops.labels import IGNORE_INDEX

Color = tuple[int, int, int]

FIXED: Color = (22, 163, 148)
BROKEN: Color = (234, 88, 12)
MISSED: Color = (120, 113, 108)


def colorize(label: np.ndarray, palette: Sequence[Color], *, ignored: Color = (0, 0, 0)) -> np.ndarray:
    """Paint each class in its palette colour.

    Args:
        label: `(H, W)` class indices.
        palette: One colour per class.
        ignored: Colour of `IGNORE_INDEX`.

    Raises:
        ValueError: If a label is neither in the palette nor `IGNORE_INDEX`.
    """
    return _table(label, palette, ignored)[label]


def class_borders(label: np.ndarray) -> np.ndarray:
    """`(H, W)` mask of the pixels whose right or lower neighbour has another label."""
    borders = np.zeros(label.shape, dtype=bool)
    borders[:-1] |= label[:-1] != label[1:]
    borders[:, :-1] |= label[:, :-1] != label[:, 1:]
    return borders


def overlay(
    image: np.ndarray, label: np.ndarray, palette: Sequence[Color], *, alpha: float = 0.55, edges: bool = True
) -> np.ndarray:
    """Blend class colours into a picture; ignored pixels do not change.

    Args:
        image: `(H, W, 3)` uint8.
        label: `(H, W)` class indices.
        palette: One colour per class.
        alpha: Weight of the colours, 0 to 1.
        edges: Draw a light line along class borders.

    Raises:
        ValueError: If shapes differ, `alpha` is out of range, or a label is neither in the palette nor `IGNORE_INDEX`.
    """
    check_picture("image", image, label.shape)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha: expected 0 to 1, got {alpha}")
    weight = np.where(label == IGNORE_INDEX, 0, alpha)
    mixed = _mix(image, colorize(label, palette), weight)
    return _mix(mixed, np.uint8(255), 0.7 * class_borders(label)) if edges else mixed


def compare_errors(image: np.ndarray, before: np.ndarray, after: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Show over a greyed picture where two predictions are wrong: `FIXED` where only `before` is, `BROKEN` where only
    `after` is, `MISSED` where both are.

    Args:
        image: `(H, W, 3)` uint8.
        before: `(H, W)` predicted classes.
        after: `(H, W)` predicted classes of the other model.
        label: `(H, W)` true classes; ignored pixels do not count.

    Raises:
        ValueError: If shapes differ.
    """
    for name, classes in (("before", before), ("after", after)):
        if classes.shape != label.shape:
            raise ValueError(f"{name}: expected the shape of label {label.shape}, got {classes.shape}")
    check_picture("image", image, label.shape)
    counted = label != IGNORE_INDEX
    verdict = (counted & (before != label)) + 2 * (counted & (after != label))
    colors = np.array([(0, 0, 0), FIXED, BROKEN, MISSED], dtype=np.uint8)
    return _mix(greyed(image), colors[verdict], np.array([0, 0.95, 0.95, 0.55])[verdict])


def save_label_png(path: str | os.PathLike[str], label: np.ndarray, palette: Sequence[Color]) -> None:
    """Write an 8-bit palette PNG: its values are the labels, its palette shows them in any viewer.

    Args:
        path: File to write; missing folders are made.
        label: `(H, W)` integers, indices into the palette or `IGNORE_INDEX`.
        palette: One colour per value.

    Raises:
        ValueError: If a value has no colour, or the file cannot be written.
    """
    table = _table(label, palette, (0, 0, 0))
    picture = Image.fromarray(label.astype(np.uint8), mode="L")
    picture.putpalette(table.tobytes())
    save_png(Path(path), picture, optimize=True)


def save_png(path: Path, picture: Image.Image, *, optimize: bool = False) -> None:
    """Write a PNG file; missing folders are made.

    Raises:
        ValueError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, format="PNG", optimize=optimize)
    except OSError as error:
        raise ValueError(f"path: expected a file that can be written, got {path}: {error}") from error


def greyed(image: np.ndarray) -> np.ndarray:
    """A light grey copy of an `(H, W, 3)` uint8 picture, to draw over."""
    return (image.mean(axis=2, keepdims=True) * 0.45 + 140).astype(np.uint8).repeat(3, axis=2)


def check_picture(
    name: str, picture: np.ndarray, size: tuple[int, ...] | None = None, *, transparent: bool = False
) -> None:
    """Raise a `ValueError` unless the array is an `(H, W, 3)` uint8 picture, of this `(H, W)` size if given.

    With `transparent`, `(H, W, 4)` is accepted, too.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 3 + transparent):
        shapes = "(H, W, 3)" + " or (H, W, 4)" * transparent
        raise ValueError(f"{name}: expected uint8 {shapes}, got {picture.dtype} {picture.shape}")
    if size is not None and picture.shape[:2] != tuple(size):
        raise ValueError(f"{name}: expected {size} pixels, got {picture.shape[:2]}")


def _table(label: np.ndarray, palette: Sequence[Color], ignored: Color) -> np.ndarray:
    """`(256, 3)` colours of all label values; raises a `ValueError` if the map has other values."""
    if label.ndim != 2 or label.dtype.kind not in "ui":
        raise ValueError(f"label: expected integers (H, W), got {label.dtype} {label.shape}")
    if len(palette) > IGNORE_INDEX:
        raise ValueError(f"palette: expected at most {IGNORE_INDEX} colours, got {len(palette)}")
    values = np.unique(label)
    strangers = values[((values < 0) | (values >= len(palette))) & (values != IGNORE_INDEX)]
    if len(strangers):
        raise ValueError(f"label: expected 0 to {len(palette) - 1} or {IGNORE_INDEX}, got {strangers.tolist()}")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(palette)] = palette
    table[IGNORE_INDEX] = ignored
    return table


def _mix(below: np.ndarray, above: np.ndarray | np.uint8, weight: np.ndarray) -> np.ndarray:
    """Blend two pictures; `weight` `(H, W)` is that of `above`."""
    weight = weight[..., None].astype(np.float32)
    return np.rint(below * (1 - weight) + above * weight).astype(np.uint8)
