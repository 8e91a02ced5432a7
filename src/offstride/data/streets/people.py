"""People: rounded strokes for limbs, trunk and head, walking or standing."""

import colorsys
from dataclasses import dataclass

import numpy as np

from offstride.data.streets.canvas import Area, Colour
from offstride.data.streets.ground import Shadow, cast
from offstride.data.streets.kinds import PERSON
from offstride.data.streets.light import Light, rgb
from offstride.data.streets.view import View


@dataclass(frozen=True)
class Person:
    """One person at (x, z).

    Attributes:
        height: Metres.
        turn: 0 walks along the street, 1 across it; sign gives the direction.
        stride: How far the feet are apart, as a share of the height.
        coat: How far the upper garment falls, as a share of the height: 0.5 ends at the hips, less is a coat or a dress.
        bag: 0 none, 1 backpack, 2 bag in hand.
    """

    x: float
    z: float
    height: float
    turn: float
    stride: float
    coat: float
    bag: int
    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    extra: Colour

    def shadows(self, light: Light) -> list[Shadow]:
        """Return the shade of body and feet."""
        foot = Shadow((self.x - 0.1, self.z), (self.x + 0.1, self.z), 0.16, softness=0.25, depth=0.7, contact=True)
        return [*cast(light, self.x, self.z, 0.1, self.height * 0.8, 0.16), foot]


def _cloth(rng: np.random.Generator, dark: float) -> Colour:
    if rng.random() < 0.45:
        return rgb(*[rng.uniform(0.1, 0.85 - 0.4 * dark)] * 3)
    return rgb(*colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.3, 0.85), rng.uniform(0.25, 0.85 - 0.3 * dark)))


def draw_person(rng: np.random.Generator, x: float, z: float, across: bool = False) -> Person:
    """Draw somebody; `across` makes them cross the street."""
    turn = (1.0 if across else float(rng.choice([0.15, 0.35, 0.9]))) * float(rng.choice([-1, 1]))
    tone = rng.uniform(0.35, 0.88)
    return Person(
        x=x,
        z=z,
        height=float(rng.uniform(1.55, 1.9) if rng.random() < 0.85 else rng.uniform(1.05, 1.4)),
        turn=turn,
        stride=float(rng.uniform(0.06, 0.15)) if rng.random() < 0.8 else 0.02,
        coat=float(rng.choice([0.5, 0.5, 0.47, 0.34, 0.28])),
        bag=int(rng.choice(3, p=(0.5, 0.25, 0.25))),
        skin=rgb(tone, tone * 0.76, tone * 0.62),
        hair=rgb(*(np.array([0.32, 0.24, 0.17]) * rng.uniform(0.3, 2.2))),
        top=_cloth(rng, 0.0),
        legs=_cloth(rng, 0.8),
        extra=_cloth(rng, 0.2),
    )


def paint_person(view: View, person: Person, sunlit: float) -> None:
    """Paint somebody from the far limbs to the near ones."""
    size = view.scale(person.z) * person.height
    x, foot = view.project(person.x, 0, person.z)
    sideways, ahead = abs(person.turn), 1.0 if person.turn > 0 else -1.0
    sun_x = view.light.sun[0]
    facing = 0.35 + 0.35 * max(-view.light.sun[2], 0)

    def stroke(start: tuple[float, float], end: tuple[float, float], radius: float, colour: Colour, tip: float | None = None) -> None:
        """Paint one limb, given in shares of the height, (right, up); the side towards the sun is brighter."""
        a, b = (x + start[0] * size, foot - start[1] * size), (x + end[0] * size, foot - end[1] * size)
        lit = view.lit(colour, facing, person.z, sunlit)
        middle, reach = (a[0] + b[0]) / 2, radius * size

        def round_shade(area: Area) -> Colour:
            return lit * (1 + 0.35 * sun_x * sunlit * np.clip((area.x - middle) / reach, -1.5, 1.5))

        thick = max(radius * size, 0.55)
        view.canvas.capsule(a, b, thick, round_shade if reach > 1.2 else lit, PERSON, tip=None if tip is None else max(tip * size, 0.5))

    swing, shoulder, hip = person.stride * (0.35 + 0.65 * sideways), 0.115 - 0.045 * sideways, 0.05 - 0.025 * sideways
    shoe = person.extra * 0.3
    fine = size > 40
    for leg in (-1, 1):
        ankle = (leg * (swing + hip * 0.6), 0.045 + (0.02 if leg < 0 and swing > 0.05 else 0))
        knee = (leg * (hip + 0.45 * swing) + ahead * sideways * 0.02, 0.27)
        dim = 0.75 if leg < 0 else 1.0
        if not fine:
            stroke((leg * hip, 0.5), ankle, 0.05, person.legs * dim, tip=0.03)
            continue
        stroke((leg * hip, 0.5), knee, 0.052, person.legs * dim, tip=0.042)
        stroke(knee, ankle, 0.042, person.legs * dim, tip=0.03)
        stroke((ankle[0], 0.02), (ankle[0] + ahead * 0.05 * (0.3 + sideways), 0.018), 0.022, shoe)
    hand = (shoulder + 0.02 + 0.5 * swing, 0.45)
    stroke((-shoulder, 0.79), (-shoulder - 0.02 - 0.5 * swing, 0.46), 0.033, person.top * 0.7, tip=0.024)
    if person.bag == 1:
        stroke((-ahead * 0.09 * sideways, 0.76), (-ahead * 0.09 * sideways, 0.62), 0.075, person.extra)
    wide = 0.075 - 0.012 * sideways
    stroke((0, 0.755), (0, max(person.coat, 0.5)), wide + 0.012, person.top, tip=wide)
    if person.coat < 0.5:
        stroke((0, 0.52), (0, person.coat), wide, person.top, tip=wide + 0.03)
    stroke((-shoulder * 0.75, 0.785), (shoulder * 0.75, 0.785), 0.04, person.top)
    stroke((shoulder, 0.785), hand, 0.033, person.top * 0.88, tip=0.026)
    if fine:
        stroke(hand, (hand[0], 0.43), 0.022, person.skin)
        stroke((0, 0.82), (0, 0.87), 0.028, person.skin * 0.85)
    if person.bag == 2:
        stroke((hand[0], 0.40), (hand[0] + 0.01, 0.33), 0.05, person.extra)
    stroke((-ahead * 0.012 * sideways, 0.94), (-ahead * 0.012 * sideways, 0.93), 0.056, person.hair)
    stroke((ahead * 0.016 * sideways, 0.912), (ahead * 0.016 * sideways, 0.90), 0.044, person.skin)
