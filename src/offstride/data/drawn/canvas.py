"""The canvas: anti-aliased shapes laid over one another, in colour and as class indices at once.

A shape covers a share of each pixel. The image takes that share of the shape's colour; the label map takes the shape's
class where the share is at least one half. Both are written by `Canvas.blend` and nowhere else, so they agree at every
pixel. Coordinates are (x, y) in pixels; the centre of the first pixel is (0.5, 0.5).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from offstride.data.drawn.colour import Colour
from offstride.data.drawn.noise import Plane

Point = tuple[float, float]


class Area(NamedTuple):
    """A rectangle of the canvas: its slices and the centres of its pixels, x (1, w) and y (h, 1)."""

    rows: slice
    columns: slice
    x: Plane
    y: Plane


Paint = Colour | Callable[[Area], Colour]
"""One colour for all of a shape, or a function that colours the pixels of an area."""


class Canvas:
    """A float32 image (3, H, W) in linear light and its uint8 label map (H, W)."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width
        self.image: Colour = np.zeros((3, height, width), np.float32)
        self.label = np.zeros((height, width), np.uint8)
        self._x = np.arange(width, dtype=np.float32)[None] + 0.5
        self._y = np.arange(height, dtype=np.float32)[:, None] + 0.5

    def area(self, left: float, top: float, right: float, bottom: float) -> Area | None:
        """Return the pixels that a shape within these bounds can touch, or None when it lies outside the canvas."""
        x0, x1 = max(int(left - 0.5), 0), min(int(right + 1.5), self.width)
        y0, y1 = max(int(top - 0.5), 0), min(int(bottom + 1.5), self.height)
        if x0 >= x1 or y0 >= y1:
            return None
        return Area(slice(y0, y1), slice(x0, x1), self._x[:, x0:x1], self._y[y0:y1])

    def blend(self, area: Area, coverage: Plane, colour: Colour, index: int) -> None:
        """Lay a colour of class `index` over an area, `coverage` 0 … 1 of each pixel (h, w)."""
        below = self.image[:, area.rows, area.columns]
        below += coverage * (colour - below)
        np.copyto(self.label[area.rows, area.columns], index, where=coverage >= 0.5)

    def polygon(self, points: Sequence[Point], paint: Paint, index: int) -> None:
        """Fill a convex polygon."""
        xs, ys = zip(*points, strict=True)
        area = self.area(min(xs), min(ys), max(xs), max(ys))
        if area is not None:
            self.blend(area, polygon_coverage(points, area), _colour(paint, area), index)

    def capsule(
        self, start: Point, end: Point, radius: float, paint: Paint, index: int, tip: float | None = None
    ) -> None:
        """Fill a rounded stroke whose radius runs from `radius` at its start to `tip` at its end."""
        tip = radius if tip is None else tip
        (x0, y0), (x1, y1), reach = start, end, max(radius, tip)
        area = self.area(min(x0, x1) - reach, min(y0, y1) - reach, max(x0, x1) + reach, max(y0, y1) + reach)
        if area is not None:
            depth = capsule_depth(start, end, radius, tip, area.x, area.y)
            self.blend(area, share(depth), _colour(paint, area), index)

    def ellipse(self, centre: Point, first: Point, second: Point, paint: Paint, index: int) -> None:
        """Fill an ellipse given by its centre and two conjugate half axes: a circle seen in perspective."""
        (x, y), (ax, ay), (bx, by) = centre, first, second
        wide, high, turn = math.hypot(ax, bx), math.hypot(ay, by), ax * by - ay * bx
        area = self.area(x - wide, y - high, x + wide, y + high)
        if area is None or abs(turn) < 1e-3:
            return
        right, down = area.x - x, area.y - y
        a, b = right * (by / turn) - down * (bx / turn), down * (ax / turn) - right * (ay / turn)
        a *= a
        b *= b
        a += b
        depth = (1 - np.sqrt(a, out=a)) * min(wide, high)
        self.blend(area, share(depth), _colour(paint, area), index)


def share(depth: Plane) -> Plane:
    """Turn the depth inside a shape, in pixels, into the covered share of each pixel, in place."""
    depth += 0.5
    np.maximum(depth, 0, out=depth)
    return np.minimum(depth, 1, out=depth)


def _colour(paint: Paint, area: Area) -> Colour:
    return paint(area) if callable(paint) else paint


def signed_area(points: Sequence[Point]) -> float:
    """Return the area of a polygon in square pixels, positive when it runs clockwise on the screen (y points down)."""
    total = 0.0
    (x0, y0) = points[-1]
    for x1, y1 in points:
        total += x0 * y1 - x1 * y0
        x0, y0 = x1, y1
    return total / 2


def polygon_coverage(points: Sequence[Point], area: Area) -> Plane:
    """Return the share (h, w) of each pixel inside a convex polygon: the distance to its nearest edge, box-filtered."""
    turn = 1.0 if signed_area(points) >= 0 else -1.0
    edges = []
    (x0, y0) = points[-1]
    for x1, y1 in points:
        length = math.hypot(x1 - x0, y1 - y0)
        if length > 1e-3:
            across, down = turn * (y0 - y1) / length, turn * (x1 - x0) / length
            edges.append((across, down, -across * x0 - down * y0))
        x0, y0 = x1, y1
    if not edges:
        return np.zeros((area.y.size, area.x.size), np.float32)
    across, down, offset = np.array(edges, np.float32).T[:, :, None, None]
    return share((across * area.x + (down * area.y + offset)).min(axis=0))


def capsule_depth(start: Point, end: Point, radius: float, tip: float, x: Plane, y: Plane) -> Plane:
    """Return how deep each (x, y) lies inside a tapered stroke, negative outside, in the unit of the coordinates."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    squared = dx * dx + dy * dy
    if squared < 1e-9:
        return radius - np.sqrt((x - start[0]) ** 2 + (y - start[1]) ** 2)
    right, down = x - start[0], y - start[1]
    along = right * (dx / squared) + down * (dy / squared)
    np.maximum(along, 0, out=along)
    np.minimum(along, 1, out=along)
    right, down = right - dx * along, down - dy * along
    right *= right
    down *= down
    right += down
    np.sqrt(right, out=right)
    along *= tip - radius
    along += radius
    along -= right
    return along
