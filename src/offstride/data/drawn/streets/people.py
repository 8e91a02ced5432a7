"""People: rounded strokes for the limbs and the head, a tapered trunk, walking or standing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from offstride.data.drawn.canvas import Paint, Point
from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour, draw_hsv, grey, rgb
from offstride.data.drawn.streets.ground import Shadow, cast
from offstride.data.drawn.streets.kinds import PERSON
from offstride.data.drawn.streets.light import Light
from offstride.data.drawn.streets.view import View

SMALL, LARGE = 20, 40
"""Heights in pixels: below the first, people have no arms, from the second on, knees, shoes and hands."""


class Part(NamedTuple):
    """A part of the body in shares of its height, (right, up) from the feet.

    A `hem` makes it a trunk, `radius` wide on each side at its start and `hem` at its end, instead of a stroke.
    """

    start: Point
    end: Point
    radius: float
    tip: float
    colour: Colour
    hem: float | None = None


@dataclass(frozen=True)
class Person:
    """One person at (x, z).

    Attributes:
        height: Metres.
        turn: -1 … 1: 0 walks along the street, 1 across it to the right.
        stride: How far the feet are apart, as a share of the height.
        coat: Height of its hem, as a share of the height: 0.5 is at the hips, less a coat or a dress.
        bag: What is carried.
    """

    x: float
    z: float
    height: float
    turn: float
    stride: float
    coat: float
    bag: str
    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    extra: Colour

    def shadows(self, light: Light) -> list[Shadow]:
        """Return the shade of body and feet."""
        foot = Shadow((self.x - 0.1, self.z), (self.x + 0.1, self.z), 0.16, softness=0.25, depth=0.7, contact=True)
        return [*cast(light, self.x, self.z, 0.1, self.height * 0.8, 0.16), foot]

    def paint(self, view: View) -> None:
        """Paint the parts from the far limbs to the near ones."""
        size = view.scale(self.z) * self.height
        x, foot = view.project(self.x, 0, self.z)
        sunlit = view.sunlit(self.x, self.height, self.z)

        def at(point: Point) -> Point:
            return x + point[0] * size, foot - point[1] * size

        for part in _parts(self, size):
            (x0, y0), (x1, y1) = start, end = at(part.start), at(part.end)
            paint = _rounded(view, self, part, sunlit, (x0 + x1) / 2, part.radius * size)
            if part.hem is None:
                radius, tip = max(part.radius * size, 0.55), max(part.tip * size, 0.5)
                view.canvas.capsule(start, end, radius, paint, PERSON, tip)
            else:
                wide, hem = part.radius * size, part.hem * size
                corners = [(x0 - wide, y0), (x0 + wide, y0), (x1 + hem, y1), (x1 - hem, y1)]
                view.canvas.polygon(corners, paint, PERSON)


def _draw_cloth(rng: np.random.Generator, brightest: float) -> Colour:
    if rng.random() < 0.45:
        return grey(rng.uniform(0.1, brightest))
    return draw_hsv(rng, (0, 1), (0.3, 0.8), (0.25, brightest))


def draw_person(rng: np.random.Generator, x: float, z: float, across: bool = False) -> Person:
    """Draw somebody who walks or stands; `across` makes them cross the street."""
    turn, tone = 1.0 if across else pick(rng, (0.15, 0.35, 0.9)), rng.uniform(0.35, 0.88)
    return Person(
        x=x,
        z=z,
        height=rng.uniform(1.55, 1.9) if rng.random() < 0.85 else rng.uniform(1.05, 1.4),
        turn=turn * pick(rng, (-1, 1)),
        stride=rng.uniform(0.06, 0.15) if across or rng.random() < 0.8 else 0.02,
        coat=pick(rng, (0.5, 0.5, 0.47, 0.34, 0.28)),
        bag=pick(rng, ("", "", "back", "hand")),
        skin=rgb(tone, tone * 0.76, tone * 0.62),
        hair=rgb(0.32, 0.24, 0.17, rng.uniform(0.3, 2.2)),
        top=_draw_cloth(rng, 0.85),
        legs=_draw_cloth(rng, 0.55),
        extra=_draw_cloth(rng, 0.75),
    )


def _rounded(view: View, person: Person, part: Part, sunlit: float, middle: float, reach: float) -> Paint:
    """Light a part of the body, brighter towards the sun where it is wide enough to show."""
    sun_x, _, sun_z = view.light.sun
    colour = view.lit(part.colour, 0.35 + 0.35 * max(-sun_z, 0), person.z, sunlit)
    if reach < 1.2:
        return colour
    return lambda area: colour * (1 + 0.35 * sun_x * sunlit * np.clip((area.x - middle) / reach, -1.5, 1.5))


def _parts(person: Person, size: float) -> Iterator[Part]:
    """Yield the parts of a body, `size` pixels high, from far to near."""
    sideways, ahead = abs(person.turn), 1 if person.turn > 0 else -1
    swing, shoulder = person.stride * (0.35 + 0.65 * sideways), 0.115 - 0.045 * sideways
    top, skin, lean = person.top, person.skin, ahead * sideways
    for side in (-1, 1):
        yield from _leg(person, side, swing, fine=size > LARGE)
    hand = shoulder + 0.02 + 0.5 * swing
    if size > SMALL:
        yield Part((-shoulder, 0.785), (-hand, 0.46), 0.033, 0.024, top * 0.7)
    if person.bag == "back":
        yield Part((-0.09 * lean, 0.76), (-0.09 * lean, 0.62), 0.075, 0.075, person.extra)
    wide = 0.088 - 0.018 * sideways
    if size > SMALL:
        yield Part((-shoulder * 0.72, 0.785), (shoulder * 0.72, 0.785), 0.042, 0.042, top)
    yield Part((0, 0.8), (0, person.coat), wide, wide, top, hem=wide + (0.035 if person.coat < 0.45 else -0.005))
    if size > SMALL:
        yield Part((shoulder, 0.785), (hand, 0.45), 0.033, 0.026, top * 0.88)
    if size > LARGE:
        yield Part((hand, 0.45), (hand, 0.43), 0.022, 0.022, skin)
        yield Part((0, 0.82), (0, 0.87), 0.028, 0.028, skin * 0.85)
    if person.bag == "hand":
        yield Part((hand, 0.40), (hand + 0.01, 0.33), 0.05, 0.05, person.extra)
    yield Part((-0.012 * lean, 0.94), (-0.012 * lean, 0.93), 0.056, 0.056, person.hair)
    yield Part((0.016 * lean, 0.912), (0.016 * lean, 0.90), 0.044, 0.044, skin)


def _leg(person: Person, side: int, swing: float, fine: bool) -> Iterator[Part]:
    """Yield thigh, shin and shoe of the left (-1) or right (1) leg, or one stroke for all."""
    sideways, ahead = abs(person.turn), 1 if person.turn > 0 else -1
    hip, cloth = 0.05 - 0.025 * sideways, person.legs * (0.75 if side < 0 else 1.0)
    ankle = side * (swing + hip * 0.6), 0.065 if side < 0 and swing > 0.05 else 0.045
    knee = side * (hip + 0.45 * swing) + 0.02 * ahead * sideways, 0.27
    if not fine:
        yield Part((side * hip, 0.5), ankle, 0.05, 0.03, cloth)
        return
    yield Part((side * hip, 0.5), knee, 0.052, 0.042, cloth)
    yield Part(knee, ankle, 0.042, 0.03, cloth)
    toe = ankle[0] + 0.05 * ahead * (0.3 + sideways)
    yield Part((ankle[0], ankle[1] - 0.025), (toe, ankle[1] - 0.027), 0.022, 0.022, person.extra * 0.3)
