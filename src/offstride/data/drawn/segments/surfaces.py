"""Surfaces of segments: colour, texture, pattern, gradient and shade over an area of the canvas."""

import math
from collections.abc import Callable

import numpy as np

from offstride.data.drawn import noise
from offstride.data.drawn.canvas import Area
from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour
from offstride.data.drawn.noise import Plane

Pattern = Callable[[np.random.Generator, Area], Plane]


def draw_surface(rng: np.random.Generator, area: Area, colour: Colour) -> Colour:
    """`(3, h, w)` linear light of a surface of this mean colour `(3, 1, 1)`, as a display shows it."""
    value = colour + _texture(rng, area) * rng.uniform(0.6, 1.4, (3, 1, 1))
    if rng.random() < 0.3:
        value = value + pick(rng, (_stripes, _tiles, _speckles))(rng, area) * rng.uniform(0.4, 1.2, (3, 1, 1))
    return np.square(np.clip(value + _gradient(rng, area), 0, 1)).astype(np.float32)


def _texture(rng: np.random.Generator, area: Area) -> Plane:
    slope, scale = pick(rng, (0.4, 0.8, 1.2, 1.6)), math.exp(rng.uniform(math.log(0.15), math.log(1.5)))
    turn, shift = rng.uniform(0, math.pi), rng.uniform(0, 256, 2)
    squeeze = math.exp(rng.normal(0, 0.5))
    u = (math.cos(turn) * area.x + math.sin(turn) * area.y) * scale * squeeze + shift[0]
    v = (math.cos(turn) * area.y - math.sin(turn) * area.x) * scale / squeeze + shift[1]
    return noise.sample(slope, u, v) * rng.uniform(0, 0.14)


def _phase(rng: np.random.Generator, area: Area) -> Plane:
    period, turn = math.exp(rng.uniform(math.log(3), math.log(30))), rng.uniform(0, math.pi)
    return (math.cos(turn) * area.x + math.sin(turn) * area.y) * (2 * math.pi / period) + rng.uniform(0, 6.3)


def _stripes(rng: np.random.Generator, area: Area) -> Plane:
    return np.tanh(rng.uniform(1, 6) * np.sin(_phase(rng, area))) * rng.uniform(0.03, 0.2)


def _tiles(rng: np.random.Generator, area: Area) -> Plane:
    grid = np.sin(_phase(rng, area)) * np.sin(_phase(rng, area))
    return np.tanh(rng.uniform(1, 8) * grid) * rng.uniform(0.03, 0.18)


def _speckles(rng: np.random.Generator, area: Area) -> Plane:
    shift, scale = rng.uniform(0, 256, 2), rng.uniform(0.3, 1.2)
    rough = noise.sample(0.8, area.x * scale + shift[0], area.y * scale + shift[1])
    return np.clip(4 * (rough - rng.uniform(0.5, 1.5)), 0, 1) * rng.uniform(-0.25, 0.25)


def _gradient(rng: np.random.Generator, area: Area) -> Plane:
    turn = rng.uniform(0, 2 * math.pi)
    slope = (math.cos(turn) * area.x + math.sin(turn) * area.y) / 200 * rng.normal(0, 0.22)
    return slope - slope.mean()
