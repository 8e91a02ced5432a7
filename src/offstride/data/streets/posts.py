"""Posts: street lamps, traffic lights and signs on thin poles."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from offstride.data.streets.canvas import Area, Colour, Point
from offstride.data.streets.ground import Shadow, cast
from offstride.data.streets.kinds import POLE, SIGN
from offstride.data.streets.light import Light, rgb
from offstride.data.streets.view import View

Head = Literal["none", "arm", "globe", "wires", "lights"]
Plate = Literal["circle", "ring", "triangle", "octagon", "square", "diamond", "board"]

THINNEST = 0.62
"""Least half width of a pole in pixels: what stands in the image must appear in its label map."""

RED, WHITE, BLUE, GREEN, YELLOW, BLACK = (
    (0.78, 0.08, 0.10), (0.95, 0.95, 0.95), (0.10, 0.25, 0.68), (0.05, 0.40, 0.25), (0.96, 0.76, 0.10), (0.08, 0.08, 0.09),
)  # fmt: skip


@dataclass(frozen=True)
class Sign:
    """A plate on a pole: its shape, the height of its middle and its half size in metres, its colours."""

    plate: Plate
    y: float
    size: float
    colours: tuple[tuple[float, float, float], tuple[float, float, float]]
    back: bool = False


@dataclass(frozen=True)
class Post:
    """A pole at (x, z) with what it carries.

    Attributes:
        height: Metres.
        radius: Metres at the foot.
        head: What stands on its top.
        reach: Length of the arm in metres, positive to the right.
        lit: Brightness of the lamp.
        phase: Which of the traffic lights is on.
    """

    x: float
    z: float
    height: float
    radius: float
    head: Head
    colour: Colour
    reach: float = 0.0
    lit: float = 0.0
    phase: int = 0
    signs: tuple[Sign, ...] = field(default=())

    def shadows(self, light: Light) -> list[Shadow]:
        """Return the shade of the pole and of its plates."""
        plates = [s for sign in self.signs for s in cast(light, self.x, self.z, sign.y - 0.1, sign.y + 0.1, sign.size * 0.8)]
        return [*cast(light, self.x, self.z, 0, self.height, self.radius), *plates]


def draw_lamp(rng: np.random.Generator, x: float, z: float, style: tuple[Head, float, Colour], lit: float) -> Post:
    """Draw a lamp post of the street's style (head, height, colour); its arm reaches over the road."""
    head, height, colour = style
    reach = -math.copysign(rng.uniform(1.2, 2.2), x) if head == "arm" else 0.0
    return Post(x, z, height, rng.uniform(0.07, 0.11), head, colour, reach, lit)


def draw_lamp_style(rng: np.random.Generator) -> tuple[Head, float, Colour]:
    """Draw what all lamps of a street share."""
    head: Head = ("arm", "globe", "wires")[rng.choice(3, p=(0.55, 0.25, 0.2))]
    grey = rng.uniform(0.22, 0.6)
    colour = rgb(0.38, 0.29, 0.22) if head == "wires" else rgb(*(np.array([grey, grey + rng.uniform(0, 0.04), grey])))
    return head, float({"arm": rng.uniform(6.5, 9), "globe": rng.uniform(3.6, 4.6), "wires": rng.uniform(7, 9)}[head]), colour


def draw_sign_post(rng: np.random.Generator, x: float, z: float) -> Post:
    """Draw a traffic light or a pole with one or two plates."""
    grey = rng.uniform(0.35, 0.65)
    if rng.random() < 0.25:
        return Post(x, z, rng.uniform(2.9, 3.4), 0.07, "lights", rgb(*[grey * 0.5] * 3), phase=int(rng.integers(3)))
    y, size = rng.uniform(2.35, 2.8), rng.uniform(0.34, 0.5)
    back = bool(rng.random() < 0.15)
    signs = [_sign(rng, y, size, back)]
    if rng.random() < 0.4:
        below = Sign("board", y - 1.75 * size, size * 0.8, (WHITE, BLACK) if rng.random() < 0.6 else (YELLOW, BLACK), back)
        signs.append(below)
    return Post(x, z, y + size * 0.8, 0.045, "none", rgb(*[grey] * 3), signs=tuple(signs))


def _sign(rng: np.random.Generator, y: float, size: float, back: bool) -> Sign:
    """Draw a plate in one of the colour schemes of its shape."""
    schemes: list[tuple[Plate, tuple[float, float, float], tuple[float, float, float]]] = [
        ("ring", RED, WHITE), ("ring", RED, YELLOW), ("circle", BLUE, WHITE), ("circle", RED, WHITE), ("triangle", RED, WHITE),
        ("octagon", RED, WHITE), ("square", BLUE, WHITE), ("diamond", YELLOW, BLACK), ("diamond", YELLOW, WHITE),
        ("board", GREEN, WHITE), ("board", BLUE, WHITE), ("board", WHITE, BLACK), ("triangle", RED, YELLOW), ("square", GREEN, WHITE),
    ]  # fmt: skip
    plate, outer, inner = schemes[rng.integers(len(schemes))]
    return Sign(plate, y, size * (1.3 if plate == "board" else 1.0), (outer, inner), back)


def paint_post(view: View, post: Post, sunlit: float) -> None:
    """Paint a pole, its head, then its plates."""
    _paint_pole(view, post, sunlit)
    if post.head == "lights":
        _paint_traffic_light(view, post, sunlit)
    for sign in post.signs:
        _paint_sign(view, post, sign, sunlit)


def _paint_pole(view: View, post: Post, sunlit: float) -> None:
    size, canvas = view.scale(post.z), view.canvas
    x, foot = view.project(post.x, 0, post.z)
    top = foot - post.height * size
    wide, slim = max(post.radius * size, THINNEST), max(post.radius * 0.7 * size, THINNEST)
    metal = view.lit(post.colour, 0.4, post.z, sunlit, 0.9)

    def round_shade(area: Area) -> Colour:
        return metal * (1 + 0.5 * view.light.sun[0] * np.clip((area.x - x) / wide, -1, 1))

    canvas.polygon([(x - wide, foot), (x - slim, top), (x + slim, top), (x + wide, foot)], round_shade, POLE)
    lamp = view.lit(rgb(0.75, 0.75, 0.72), 0.5, post.z, sunlit) + post.lit * rgb(1.2, 1.1, 0.85)
    if post.head == "arm":
        elbow, end = (x, top + 0.25 * size), (x + post.reach * size, top - 0.35 * size)
        canvas.capsule(elbow, end, slim, metal, POLE, tip=THINNEST)
        outer = (end[0] + math.copysign(0.55, post.reach) * size, end[1] + 0.02 * size)
        canvas.capsule(end, outer, max(0.11 * size, THINNEST), metal, POLE)
        if post.lit:
            canvas.capsule((end[0], end[1] + 0.06 * size), (outer[0], outer[1] + 0.06 * size), max(0.08 * size, 0.5), lamp, POLE)
    elif post.head == "globe":
        canvas.capsule((x, top), (x, top), max(0.24 * size, 0.9), lamp, POLE)
        canvas.capsule((x - 0.12 * size, top - 0.24 * size), (x + 0.12 * size, top - 0.24 * size), max(0.05 * size, THINNEST), metal, POLE)
        canvas.polygon([(x - 1.8 * wide, foot), (x - 1.5 * wide, foot - 0.6 * size), (x + 1.5 * wide, foot - 0.6 * size), (x + 1.8 * wide, foot)], round_shade, POLE)
    elif post.head == "wires":
        for drop in (0.3, 1.0):
            y = top + drop * size
            canvas.capsule((x - 0.9 * size, y), (x + 0.9 * size, y), max(0.06 * size, THINNEST), metal, POLE)


def _paint_traffic_light(view: View, post: Post, sunlit: float) -> None:
    size, canvas = view.scale(post.z), view.canvas
    x, top = view.project(post.x, post.height + 0.1, post.z)
    half, tall = max(0.19 * size, 0.8), max(0.98 * size, 2.2)
    box = [(x - half, top), (x + half, top), (x + half, top + tall), (x - half, top + tall)]
    canvas.polygon(box, view.lit(rgb(0.12, 0.13, 0.12), 0.3, post.z, sunlit), SIGN)
    for i, colour in enumerate((rgb(1.0, 0.15, 0.1), rgb(1.0, 0.7, 0.1), rgb(0.1, 0.95, 0.45))):
        middle = (x, top + tall * (i + 0.55) / 3.1)
        seen = colour * 1.3 if i == post.phase else view.lit(colour * 0.12, 0.3, post.z, sunlit)
        canvas.capsule(middle, middle, 0.115 * size, seen, SIGN)


def _paint_sign(view: View, post: Post, sign: Sign, sunlit: float) -> None:
    size, canvas = view.scale(post.z), view.canvas
    x, y = view.project(post.x, sign.y, post.z)
    half = max(sign.size * size, 1.0)
    facing = 0.35 + 0.5 * view.light.facing(0, 0, -1)

    def paint(shape: Plate, scale: float, colour: tuple[float, float, float]) -> None:
        lit = view.lit(rgb(*colour), facing, post.z, sunlit)
        canvas.polygon([(x + half * scale * px, y + half * scale * py) for px, py in _outline(shape)], lit, SIGN)

    if sign.back:
        paint(sign.plate, 1.0, (0.45, 0.46, 0.47))
        return
    outer, inner = sign.colours
    paint(sign.plate, 1.0, inner if sign.plate in ("octagon", "diamond", "board") else outer)
    if half < 2:
        return
    if sign.plate in ("octagon", "diamond", "board"):
        paint(sign.plate, 0.88, outer)
    elif sign.plate in ("ring", "triangle"):
        paint(sign.plate, 0.68, inner)
    mark = BLACK if sign.plate in ("ring", "triangle") else inner
    lit = view.lit(rgb(*mark), facing, post.z, sunlit)
    for bar in _marks(sign.plate):
        canvas.polygon([(x + half * px, y + half * py) for px, py in bar], lit, SIGN)


def _outline(plate: Plate) -> list[Point]:
    """Return the corners of a plate in units of its half size, y down."""
    match plate:
        case "triangle":
            return [(0.0, -1.0), (0.98, 0.72), (-0.98, 0.72)]
        case "square":
            return [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]
        case "diamond":
            return [(0.0, -1.1), (1.1, 0.0), (0.0, 1.1), (-1.1, 0.0)]
        case "board":
            return [(-1.0, -0.52), (1.0, -0.52), (1.0, 0.52), (-1.0, 0.52)]
        case _:
            sides = 8 if plate == "octagon" else 16
            turns = [(i + 0.5) * math.tau / sides for i in range(sides)]
            return [(math.cos(t), math.sin(t)) for t in turns]


def _marks(plate: Plate) -> list[list[Point]]:
    """Return the bars that stand for the text or the symbol of a plate."""

    def bar(left: float, top: float, right: float, bottom: float) -> list[Point]:
        return [(left, top), (right, top), (right, bottom), (left, bottom)]

    match plate:
        case "board":
            return [bar(-0.75, -0.3, 0.55, -0.1), bar(-0.75, 0.1, 0.3, 0.3)]
        case "triangle":
            return [bar(-0.09, -0.3, 0.09, 0.25), bar(-0.09, 0.35, 0.09, 0.5)]
        case "octagon" | "circle":
            return [bar(-0.65, -0.17, 0.65, 0.17)]
        case "ring":
            return [bar(-0.38, -0.28, -0.08, 0.28), bar(0.08, -0.28, 0.38, 0.28)]
        case "square":
            return [bar(-0.4, -0.55, -0.15, 0.55), bar(-0.15, -0.55, 0.35, -0.3), bar(0.1, -0.3, 0.35, 0.1), bar(-0.15, -0.1, 0.35, 0.1)]
        case _:
            return [bar(-0.12, -0.5, 0.12, 0.5), bar(-0.45, -0.1, 0.45, 0.1)]
