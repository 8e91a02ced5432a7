"""Posts: street lamps and the thin poles that carry signs, traffic lights and wires."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offstride.data.drawn.canvas import Area
from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour, grey, rgb
from offstride.data.drawn.streets.ground import Shadow, cast
from offstride.data.drawn.streets.kinds import POLE
from offstride.data.drawn.streets.light import Light
from offstride.data.drawn.streets.signs import Sign, draw_signs, paint_traffic_light
from offstride.data.drawn.streets.view import View

Head = Literal["plain", "arm", "globe", "bars", "traffic light"]

THINNEST = 0.62
"""Least half width of a pole in pixels: what stands in the image must appear in its label map."""


@dataclass(frozen=True)
class Post:
    """A pole at (x, z) with what it carries.

    Attributes:
        height: Metres.
        radius: Metres at the foot.
        head: What stands on its top.
        reach: Length of the arm in metres, positive to the right.
        lamp: Brightness of the lamp, 0 … 1.
        phase: Which traffic light is on, 0 the upper one.
    """

    x: float
    z: float
    height: float
    radius: float
    head: Head
    colour: Colour
    reach: float = 0.0
    lamp: float = 0.0
    phase: int = 0
    signs: tuple[Sign, ...] = ()

    def shadows(self, light: Light) -> list[Shadow]:
        """Return the shade of the pole and of its plates."""
        shadows = cast(light, self.x, self.z, 0, self.height, self.radius)
        for sign in self.signs:
            shadows += cast(light, self.x, self.z, sign.y - 0.1, sign.y + 0.1, sign.size * 0.8)
        return shadows

    def paint(self, view: View) -> None:
        """Paint the pole, its head, then its plates."""
        sunlit = view.sunlit(self.x, 1.5, self.z)
        _paint_pole(view, self, sunlit)
        if self.head == "traffic light":
            paint_traffic_light(view, self.x, self.height + 0.1, self.z, self.phase, sunlit)
        for sign in self.signs:
            sign.paint(view, self.x, self.z, sunlit)


@dataclass(frozen=True)
class LampStyle:
    """What all lamps of a street share."""

    head: Head
    height: float
    colour: Colour


def draw_lamp_style(rng: np.random.Generator) -> LampStyle:
    """Draw arms over the road, globes, or wooden poles with bars for wires."""
    tone = rng.uniform(0.22, 0.6)
    metal = rgb(tone, tone + rng.uniform(0, 0.04), tone)
    styles: tuple[LampStyle, ...] = (
        LampStyle("arm", rng.uniform(6.5, 9), metal),
        LampStyle("globe", rng.uniform(3.6, 4.6), metal),
        LampStyle("bars", rng.uniform(7, 9), rgb(0.38, 0.29, 0.22)),
    )
    return pick(rng, styles, (0.55, 0.25, 0.2))


def draw_lamp(rng: np.random.Generator, x: float, z: float, style: LampStyle, lamp: float) -> Post:
    """Draw a lamp post; its arm reaches over the road."""
    reach = -math.copysign(rng.uniform(1.2, 2.2), x)
    return Post(x, z, style.height, rng.uniform(0.05, 0.075), style.head, style.colour, reach, lamp)


def draw_traffic_light(rng: np.random.Generator, x: float, z: float, phase: int) -> Post:
    """Draw a traffic light that shows red, yellow or green (0, 1, 2)."""
    colour = grey(rng.uniform(0.15, 0.35))
    return Post(x, z, rng.uniform(2.9, 3.4), 0.055, "traffic light", colour, phase=phase)


def draw_sign_post(rng: np.random.Generator, x: float, z: float) -> Post:
    """Draw a pole with one or two plates."""
    signs = draw_signs(rng)
    return Post(x, z, signs[0].y + signs[0].size * 0.6, 0.035, "plain", grey(rng.uniform(0.35, 0.65)), signs=signs)


def _paint_pole(view: View, post: Post, sunlit: float) -> None:
    size, canvas = view.scale(post.z), view.canvas
    x, foot = view.project(post.x, 0, post.z)
    top = foot - post.height * size
    wide, slim = max(post.radius * size, THINNEST), max(post.radius * 0.7 * size, THINNEST)
    metal = view.lit(post.colour, 0.4, post.z, sunlit, 0.9)

    def rounded(area: Area) -> Colour:
        return metal * (1 + 0.5 * view.light.sun[0] * np.clip((area.x - x) / wide, -1, 1))

    def stroke(x0: float, y0: float, x1: float, y1: float, radius: float, colour: Colour = metal) -> None:
        """Paint a part of the head, given in metres right of and above the top."""
        ends = (x + x0 * size, top - y0 * size), (x + x1 * size, top - y1 * size)
        canvas.capsule(*ends, max(radius * size, THINNEST), colour, POLE)

    canvas.polygon([(x - wide, foot), (x - slim, top), (x + slim, top), (x + wide, foot)], rounded, POLE)
    lamp = view.lit(grey(0.75), 0.5, post.z, sunlit) + post.lamp * rgb(1.2, 1.1, 0.85)
    match post.head:
        case "arm":
            end, tip = post.reach, post.reach + math.copysign(0.55, post.reach)
            stroke(0, -0.25, end, 0.35, 0.04)
            stroke(end, 0.35, tip, 0.33, 0.11)
            if post.lamp:
                stroke(end, 0.29, tip, 0.27, 0.08, lamp)
        case "globe":
            broad, slight, base = 1.8 * wide, 1.5 * wide, foot - 0.6 * size
            canvas.polygon(
                [(x - broad, foot), (x - slight, base), (x + slight, base), (x + broad, foot)], rounded, POLE
            )
            stroke(0, 0, 0, 0, 0.24, lamp)
            stroke(-0.12, 0.24, 0.12, 0.24, 0.05)
        case "bars":
            stroke(-0.9, -0.3, 0.9, -0.3, 0.06)
            stroke(-0.9, -1.0, 0.9, -1.0, 0.06)
