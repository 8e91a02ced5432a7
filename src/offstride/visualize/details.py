"""Details: find where to look, magnify it, and mark it in the whole picture.

A box is (top, left, height, width) in pixels. Pictures are (H, W, 3) uint8 RGB.
"""

from typing import NamedTuple

import numpy as np

from offstride.visualize.masks import Color, check_picture


class Box(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Index that cuts the box out of an array."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def busiest_box(weight: np.ndarray, size: tuple[int, int]) -> Box:
    """The box of a given size with the greatest sum of weights, such as the pixels on which two models differ.

    Args:
        weight: `(H, W)` numbers or booleans.
        size: Height and width of the box; cut to the size of the map.

    Returns:
        The first of several equal ones, from the top left.

    Raises:
        ValueError: If the map is not `(H, W)` or the size not positive.
    """
    if weight.ndim != 2 or min(size) < 1:
        raise ValueError(f"weight, size: expected (H, W) and a positive size, got {weight.shape} and {size}")
    height, width = (min(*pair) for pair in zip(size, weight.shape, strict=True))
    total = np.pad(weight.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return Box(int(top), int(left), height, width)


def magnify(picture: np.ndarray, box: Box, factor: int = 4) -> np.ndarray:
    """Cut a box out of `(H, W, ...)` pixels and show each pixel as `factor`² equal ones."""
    return picture[box.window].repeat(factor, axis=0).repeat(factor, axis=1)


def mark(picture: np.ndarray, box: Box, color: Color = (255, 255, 255), *, thickness: int = 1) -> np.ndarray:
    """Draw the outline of a box just inside it, with a dark line around it to show on any ground.

    Args:
        picture: `(H, W, 3)` uint8.
        box: What is outside the picture is not drawn.
        color: Of the outline.
        thickness: Of the outline in pixels; the dark line is one pixel wide.
    """
    check_picture("picture", picture)
    marked = picture.copy()
    y, x = np.ogrid[: picture.shape[0], : picture.shape[1]]
    sides = zip(box.window, (y, x), strict=True)
    rows, columns = (np.maximum(side.start - place, place - side.stop + 1) for side, place in sides)
    outside = np.maximum(rows, columns)  # distance from the outermost pixels of the box
    marked[outside == 1] = 0
    marked[(outside <= 0) & (outside > -thickness)] = color
    return marked
