"""Outlines of segments: where in an area of the canvas a random shape covers the pixels.

A shape is a function of an area that returns the depth inside it in pixels, negative outside; `share` turns that into
coverage.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from offstride.data.drawn import noise
from offstride.data.drawn.canvas import Area, Canvas, capsule_depth
from offstride.data.drawn.chance import pick
from offstride.data.drawn.noise import Plane

Depth = Callable[[Area], Plane]


class Outline(NamedTuple):
    """A shape and the part of the canvas that it can touch.

    Attributes:
        area: Pixels around it.
        depth: Depth inside it, `(h, w)`.
        thin: Whether it is a few pixels wide.
    """

    area: Area
    depth: Depth
    thin: bool = False


def draw_shape(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    """A shape of a random kind, size and place; None if it misses the canvas."""
    return pick(rng, KINDS, WEIGHTS)(rng, canvas)


def _placed(
    rng: np.random.Generator, canvas: Canvas, depth: Callable[..., Plane], stretch: float = 1.0
) -> Outline | None:
    """A shape in its own axes: `depth(u, v, size)` with |u|, |v| up to about 1.3 where it can be."""
    size = math.exp(rng.uniform(math.log(5), math.log(0.45 * canvas.height)))
    x, y, turn = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height), rng.uniform(0, math.pi)
    long, short = size * stretch, size / stretch
    reach = 1.6 * max(long, short) + 4
    area = canvas.area(x - reach, y - reach, x + reach, y + reach)
    if area is None:
        return None
    cosine, sine = math.cos(turn), math.sin(turn)

    def inside(area: Area) -> Plane:
        right, down = area.x - x, area.y - y
        u, v = (cosine * right + sine * down) / long, (cosine * down - sine * right) / short
        return depth(u, v, min(long, short)).astype(np.float32)

    return Outline(area, inside, min(long, short) < 4)


def _stretch(rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(0, 0.8))


def _ellipse(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    return _placed(rng, canvas, lambda u, v, size: (1 - np.hypot(u, v)) * size, _stretch(rng))


def _box(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    round_ = rng.uniform(0, 0.5)

    def depth(u: Plane, v: Plane, size: float) -> Plane:
        a, b = np.abs(u) - 1 + round_, np.abs(v) - 1 + round_
        outside = np.hypot(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0)
        return (round_ - outside) * size

    return _placed(rng, canvas, depth, _stretch(rng) ** 1.5)


def _polygon(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    count = int(rng.integers(3, 8))
    angles = np.sort(rng.uniform(0, 2 * math.pi, count))
    reaches = rng.uniform(0.5, 1, count)

    def depth(u: Plane, v: Plane, size: float) -> Plane:
        sides = zip(reaches, np.cos(angles), np.sin(angles), strict=True)
        return np.min([*(r - c * u - s * v for r, c, s in sides), 1.3 - np.hypot(u, v)], 0) * size

    return _placed(rng, canvas, depth)


def _star(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    arms, deep, phase = int(rng.integers(2, 8)), rng.uniform(0.1, 0.5), rng.uniform(0, 6.3)
    ripple = rng.uniform(0, 0.15)

    def depth(u: Plane, v: Plane, size: float) -> Plane:
        angle = np.arctan2(v, u)
        reach = 0.85 + deep * np.sin(arms * angle + phase) * 0.8 + ripple * np.sin((arms + 3) * angle)
        return (reach - np.hypot(u, v)) * size * 0.8

    return _placed(rng, canvas, depth, _stretch(rng))


def _blob(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    """An ellipse whose border a noise displaces: from pebbles to foliage and fur."""
    slope, strength = rng.uniform(0.9, 2.2), rng.uniform(0.1, 0.6)
    scale, shift = math.exp(rng.uniform(math.log(8), math.log(90))), rng.uniform(0, 256, 2)

    def depth(u: Plane, v: Plane, size: float) -> Plane:
        rough = noise.sample(_rounded(slope), u * scale + shift[0], v * scale + shift[1])
        return (1 - np.hypot(u, v) + strength * rough * 0.5) * size * 0.8

    return _placed(rng, canvas, depth, _stretch(rng))


def _ring(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    width = rng.uniform(0.1, 0.4)
    return _placed(rng, canvas, lambda u, v, size: (width / 2 - np.abs(np.hypot(u, v) - 0.9 + width / 2)) * size)


def _bar(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    """A straight bar, from a wire to a trunk, perhaps with cross-bars: a fence, a ladder."""
    width = math.exp(rng.uniform(math.log(0.7), math.log(14)))
    bars, gap, length = int(pick(rng, (1, 1, 1, 2, 5))), width * rng.uniform(3, 8), rng.uniform(0.15, 0.9)
    turn = rng.uniform(0, math.pi) if rng.random() < 0.5 else pick(rng, (0.0, math.pi / 2)) + rng.normal(0, 0.05)
    x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
    reach, cosine, sine = length * canvas.height, math.cos(turn), math.sin(turn)
    far = reach + bars * gap + width
    area = canvas.area(x - far, y - far, x + far, y + far)
    if area is None:
        return None

    def depth(area: Area) -> Plane:
        right, down = area.x - x, area.y - y
        along, aside = cosine * right + sine * down, cosine * down - sine * right
        nearest = aside - gap * np.clip(np.round(aside / gap), -(bars // 2), bars // 2) if bars > 1 else aside
        return np.minimum(width / 2 - np.abs(nearest), reach - np.abs(along)).astype(np.float32)

    return Outline(area, depth, width < 4)


def _stroke(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    """A wandering stroke: a crack, a cable, a branch, a river."""
    radius = math.exp(rng.uniform(math.log(0.5), math.log(5)))
    steps, step = int(rng.integers(4, 14)), canvas.height * rng.uniform(0.04, 0.12)
    turn, bend = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.7)
    points = [np.array([rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)])]
    for _ in range(steps):
        turn += rng.normal(0, bend)
        points.append(points[-1] + step * np.array([math.cos(turn), math.sin(turn)]))
    path = np.array(points)
    low, high = path.min(0) - radius - 2, path.max(0) + radius + 2
    area = canvas.area(*low, *high)
    if area is None:
        return None
    radii = radius * rng.uniform(0.5, 1, steps + 1)

    def depth(area: Area) -> Plane:
        deepest = np.full((area.y.size, area.x.size), -8, np.float32)
        for (start, end), (r, tip) in zip(pairwise(path), pairwise(radii), strict=True):
            wide = radius + 8
            left, right = sorted((start[0], end[0]))
            top, bottom = sorted((start[1], end[1]))
            columns = slice(*np.searchsorted(area.x[0], (left - wide, right + wide)))
            rows = slice(*np.searchsorted(area.y[:, 0], (top - wide, bottom + wide)))
            part = capsule_depth(tuple(start), tuple(end), r, tip, area.x[:, columns], area.y[rows])
            np.maximum(deepest[rows, columns], part, out=deepest[rows, columns])
        return deepest

    return Outline(area, depth, radius < 2)


def _land(rng: np.random.Generator, canvas: Canvas) -> Outline | None:
    """All on one side of a wavy line: ground, a shore, a hedge, a wall."""
    turn = pick(rng, (0.0, 0.0, math.pi / 2, math.pi, -math.pi / 2)) + rng.normal(0, 0.25)
    x, y = rng.uniform(0.1, 0.9) * canvas.width, rng.uniform(0.2, 0.9) * canvas.height
    slope, strength, scale = rng.uniform(1, 2), rng.uniform(0, 12) ** 1.2, rng.uniform(0.1, 1)
    cosine, sine, shift = math.cos(turn), math.sin(turn), rng.uniform(0, 256, 2)
    area = canvas.area(0, 0, canvas.width, canvas.height)

    def depth(area: Area) -> Plane:
        right, down = area.x - x, area.y - y
        along, aside = cosine * right + sine * down, cosine * down - sine * right
        wave = noise.sample(_rounded(slope), along * scale + shift[0], np.full_like(along, shift[1]))
        return (aside + strength * wave).astype(np.float32)

    return area and Outline(area, depth)


def _rounded(slope: float) -> float:
    """One of a few slopes: each makes a tile of noise that is kept."""
    return round(slope * 5) / 5


KINDS = (_ellipse, _box, _polygon, _star, _blob, _ring, _bar, _stroke, _land)
WEIGHTS = (3.0, 3.0, 3.0, 1.5, 4.0, 0.7, 2.0, 2.0, 1.5)
