"""Traffic signs and traffic lights: flat shapes on a post."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offstride.data.drawn.canvas import Point
from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour, grey, rgb
from offstride.data.drawn.streets.kinds import SIGN
from offstride.data.drawn.streets.view import View

Plate = Literal["circle", "ring", "triangle", "octagon", "square", "diamond", "board"]

RED, WHITE, BLUE = rgb(0.78, 0.08, 0.10), grey(0.95), rgb(0.10, 0.25, 0.68)
GREEN, YELLOW, BLACK = rgb(0.05, 0.40, 0.25), rgb(0.96, 0.76, 0.10), grey(0.09)

SCHEMES: tuple[tuple[Plate, Colour, Colour], ...] = (
    ("ring", RED, WHITE), ("ring", RED, YELLOW), ("circle", BLUE, WHITE), ("circle", RED, WHITE),
    ("triangle", RED, WHITE), ("triangle", RED, YELLOW), ("octagon", RED, WHITE), ("square", BLUE, WHITE),
    ("square", GREEN, WHITE), ("diamond", YELLOW, BLACK), ("diamond", YELLOW, WHITE), ("board", GREEN, WHITE),
    ("board", BLUE, WHITE), ("board", WHITE, BLACK),
)  # fmt: skip
"""Shapes of plates with the colours of their face and of what stands on it."""

BORDERED = ("octagon", "diamond", "board")
"""Plates with a thin border in the colour of what stands on them."""

INSET = ("ring", "triangle")
"""Plates whose face is only a rim around a field."""


@dataclass(frozen=True)
class Sign:
    """A plate on a pole.

    Attributes:
        y: Height of its middle in metres.
        size: Half its height or width, metres.
        face, mark: Colours.
        back: Whether it shows its back.
    """

    plate: Plate
    y: float
    size: float
    face: Colour
    mark: Colour
    back: bool

    def paint(self, view: View, x: float, z: float, sunlit: float) -> None:
        """Paint the sign at (x, z)."""
        u, v = view.project(x, self.y, z)
        half = max(self.size * view.scale(z), 1.0)

        def fill(shape: list[Point], scale: float, colour: Colour) -> None:
            lit = view.lit(colour, 0.35 + 0.5 * view.light.facing(0, 0, -1), z, sunlit)
            view.canvas.polygon([(u + half * scale * px, v + half * scale * py) for px, py in shape], lit, SIGN)

        outline = _outline(self.plate)
        if self.back:
            fill(outline, 1.0, grey(0.46))
            return
        fill(outline, 1.0, self.mark if self.plate in BORDERED else self.face)
        if half < 2:
            return
        if self.plate in BORDERED:
            fill(outline, 0.88, self.face)
        elif self.plate in INSET:
            fill(outline, 0.68, self.mark)
        for bar in _marks(self.plate):
            fill(bar, 1.0, BLACK if self.plate in INSET else self.mark)


def draw_signs(rng: np.random.Generator) -> tuple[Sign, ...]:
    """Draw the one or two plates of a pole, the larger one above."""
    plate, face, mark = pick(rng, SCHEMES)
    y, size, back = rng.uniform(2.35, 2.8), rng.uniform(0.30, 0.42), rng.random() < 0.15
    main = Sign(plate, y, size * (1.3 if plate == "board" else 1.0), face, mark, back)
    if rng.random() < 0.6:
        return (main,)
    return main, Sign("board", y - 1.75 * size, size * 0.8, pick(rng, (WHITE, WHITE, YELLOW)), BLACK, back)


def paint_traffic_light(view: View, x: float, y: float, z: float, phase: int, sunlit: float) -> None:
    """Paint a traffic light whose upper edge is at (x, y, z) and whose lamp number `phase` is on."""
    size, canvas = view.scale(z), view.canvas
    u, top = view.project(x, y, z)
    half, tall = max(0.19 * size, 0.8), max(0.98 * size, 2.2)
    box = [(u - half, top), (u + half, top), (u + half, top + tall), (u - half, top + tall)]
    canvas.polygon(box, view.lit(grey(0.125), 0.3, z, sunlit), SIGN)
    for i, colour in enumerate((rgb(1.0, 0.15, 0.1), rgb(1.0, 0.7, 0.1), rgb(0.1, 0.95, 0.45))):
        middle = (u, top + tall * (i + 0.55) / 3.1)
        seen = colour * 1.3 if i == phase else view.lit(colour * 0.12, 0.3, z, sunlit)
        canvas.capsule(middle, middle, 0.115 * size, seen, SIGN)


def _outline(plate: Plate) -> list[Point]:
    """Return the corners of a plate in units of its half size, y down."""
    match plate:
        case "triangle":
            return [(0.0, -1.0), (0.98, 0.72), (-0.98, 0.72)]
        case "square":
            return _bar(-0.85, -0.85, 0.85, 0.85)
        case "diamond":
            return [(0.0, -1.1), (1.1, 0.0), (0.0, 1.1), (-1.1, 0.0)]
        case "board":
            return _bar(-1.0, -0.52, 1.0, 0.52)
        case _:
            sides = 8 if plate == "octagon" else 16
            turns = [(i + 0.5) * math.tau / sides for i in range(sides)]
            return [(math.cos(turn), math.sin(turn)) for turn in turns]


def _marks(plate: Plate) -> list[list[Point]]:
    """Return the bars that stand for the text or the symbol of a plate."""
    match plate:
        case "board":
            return [_bar(-0.75, -0.3, 0.55, -0.1), _bar(-0.75, 0.1, 0.3, 0.3)]
        case "triangle":
            return [_bar(-0.09, -0.3, 0.09, 0.25), _bar(-0.09, 0.35, 0.09, 0.5)]
        case "octagon" | "circle":
            return [_bar(-0.65, -0.17, 0.65, 0.17)]
        case "ring":
            return [_bar(-0.38, -0.28, -0.08, 0.28), _bar(0.08, -0.28, 0.38, 0.28)]
        case "square":
            stem, bow = _bar(-0.4, -0.55, -0.15, 0.55), _bar(0.1, -0.3, 0.35, 0.1)
            return [stem, bow, _bar(-0.15, -0.55, 0.35, -0.3), _bar(-0.15, -0.1, 0.35, 0.1)]
        case _:
            return [_bar(-0.12, -0.5, 0.12, 0.5), _bar(-0.45, -0.1, 0.45, 0.1)]


def _bar(left: float, top: float, right: float, bottom: float) -> list[Point]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]
