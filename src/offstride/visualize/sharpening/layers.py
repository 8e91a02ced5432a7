"""Pictures of before and after: one photograph, and label maps as transparent layers over it.

Shapes: H×W image.
"""

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from offstride.ops.labels import IGNORE_INDEX
from offstride.visualize.details import Box, busiest_box
from offstride.visualize.masks import BROKEN, FIXED, MISSED, Color, check_picture, class_borders

UNKNOWN: Color = (59, 130, 246)
CHANGES: Mapping[str, Color] = {"right now": FIXED, "wrong now": BROKEN, "still wrong": MISSED, "unknown": UNKNOWN}
"""What a pixel whose label changes is, and its colour."""
Group = Literal["typical", "gains", "losses", "yours"]

LARGEST, SMALL = 960, 480
"""Widths of pictures on the page, in pixels; smaller ones are not enlarged."""
_ALPHA, _BORDER = 0.5, (255, 255, 255, 190)


@dataclass(frozen=True, eq=False)
class BeforeAfter:
    """An image and its labels before and after.

    Args:
        group: A typical image, one where it gains or loses most, or one of the user's without labels.
        name: Of the image.
        image: `(H, W, 3)` uint8.
        before: `(H, W)` classes.
        after: `(H, W)` classes.
        label: `(H, W)` true classes, if known.
        scores: Boundary IoU of this image before and after, shares of 1, if known.

    Raises:
        ValueError: If the group is unknown or shapes differ.
    """

    group: Group
    name: str
    image: np.ndarray
    before: np.ndarray
    after: np.ndarray
    label: np.ndarray | None = None
    scores: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.group not in get_args(Group):
            raise ValueError(f"group: expected one of {get_args(Group)}, got {self.group!r}")
        for name in ("before", "after", "label"):
            if (classes := getattr(self, name)) is not None:
                check_picture(f"image beside {name} of {self.name!r}", self.image, classes.shape)

    def changes(self) -> np.ndarray:
        """`(H, W)` numbers: 0 where the label stays, else 1 + the place in `CHANGES`."""
        changed = self.before != self.after
        label = np.full(self.before.shape, IGNORE_INDEX) if self.label is None else self.label
        kinds = [label == IGNORE_INDEX, self.after == label, self.before == label]
        return np.where(changed, np.select(kinds, [4, 1, 2], 3), 0).astype(np.uint8)

    def shares(self) -> dict[str, float]:
        """Of all pixels: how many change, by what they are."""
        counts = np.bincount(self.changes().ravel(), minlength=1 + len(CHANGES))[1:]
        return {name: count / self.before.size for name, count in zip(CHANGES, counts.tolist(), strict=True)}

    def closeup(self) -> Box:
        """Where most pixels change: a quarter of each side."""
        height, width = (max(1, length // 4) for length in self.before.shape)
        return busiest_box(self.before != self.after, (height, width))

    def cut(self, box: Box) -> "BeforeAfter":
        """A part of it."""
        label = None if self.label is None else self.label[box.window]
        image, before, after = (part[box.window] for part in (self.image, self.before, self.after))
        return BeforeAfter(self.group, self.name, image, before, after, label)


def photograph(image: np.ndarray, width: int = LARGEST) -> str:
    """A picture for the `src` of an HTML image, at most so wide."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    return _uri(picture.resize(_fitted(picture.size, width), Image.Resampling.LANCZOS), "WEBP", quality=82, method=4)


def label_layer(label: np.ndarray, palette: Sequence[Color], width: int = LARGEST, *, borders: bool = True) -> str:
    """Classes as transparent colours, with light lines between them; ignored pixels are clear."""
    label = _reduced(label, width)
    alpha = round(255 * _ALPHA)
    table = np.zeros((IGNORE_INDEX + 1, 4), np.uint8)
    table[: len(palette)] = [(*color, alpha) for color in palette[: IGNORE_INDEX + 1]]
    table[IGNORE_INDEX] = 0
    layer = table[np.minimum(label, IGNORE_INDEX)]
    if borders:
        layer[class_borders(label)] = _BORDER
    return _layer(layer)


def change_layer(picture: BeforeAfter, width: int = SMALL) -> str:
    """The pixels that change, in the colours of `CHANGES`; pixels that stay are clear."""
    table = np.array([(0, 0, 0, 0), *((*color, 255) for color in CHANGES.values())], np.uint8)
    return _layer(table[_reduced_changes(picture.changes(), width)])


def _reduced_changes(changes: np.ndarray, width: int) -> np.ndarray:
    """Smaller by whole steps; a change that covers a part of the pixels of a step is kept."""
    step = -(-changes.shape[1] // width)
    if step == 1:
        return changes
    height, wide = (length // step * step for length in changes.shape)
    blocks = changes[:height, :wide].reshape(height // step, step, wide // step, step)
    return blocks.max((1, 3))


def _reduced(label: np.ndarray, width: int) -> np.ndarray:
    height, wide = label.shape
    columns, rows = _fitted((wide, height), width)
    return label[np.arange(rows) * height // rows][:, np.arange(columns) * wide // columns]


def _fitted(size: tuple[int, int], width: int) -> tuple[int, int]:
    """(width, height), at most so wide."""
    wide, height = size
    return size if wide <= width else (width, max(1, round(height * width / wide)))


def _layer(layer: np.ndarray) -> str:
    """An `(H, W, 4)` picture of few colours as PNG with a palette."""
    colors, indices = np.unique(layer.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colors) > 256:
        return _uri(Image.fromarray(layer, "RGBA"), "PNG", optimize=True)
    picture = Image.fromarray(indices.reshape(layer.shape[:2]).astype(np.uint8), "P")
    picture.putpalette(colors[:, :3].tobytes())
    return _uri(picture, "PNG", optimize=True, transparency=colors[:, 3].tobytes())


def _uri(picture: Image.Image, kind: str, **options: object) -> str:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{b64encode(file.getvalue()).decode()}"
