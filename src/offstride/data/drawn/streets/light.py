"""The light of a scene: sun, sky and haze of a bright day, an overcast day, or dusk."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour, grey, rgb

Mood = Literal["day", "overcast", "dusk"]


@dataclass(frozen=True)
class Light:
    """What lights the street.

    Attributes:
        sun: Unit vector towards the sun, (right, up, ahead).
        sunlight: Light on a surface that faces the sun, on top of `ambient`.
        ambient: Light on a surface in the shade.
        zenith, horizon: Colours of the clear sky.
        haze: Metres after which 63 % of a colour is haze.
        clouds: 0 clear … 1 covered.
        lamps: 0 off … 1 the street lamps and windows are lit.
    """

    mood: Mood
    sun: tuple[float, float, float]
    sunlight: Colour
    ambient: Colour
    zenith: Colour
    horizon: Colour
    haze: float
    clouds: float
    lamps: float

    def facing(self, x: float, y: float, z: float) -> float:
        """Return the cosine between the sun and a surface normal, 0 for surfaces that look away from it."""
        return max(self.sun[0] * x + self.sun[1] * y + self.sun[2] * z, 0.0)


def draw_light(rng: np.random.Generator) -> Light:
    """Draw a mood and everything that follows from it; half of the scenes are bright days."""
    draw = pick(rng, (_draw_day, _draw_day, _draw_overcast, _draw_dusk))
    warmth, strength = rng.uniform(-1, 1), rng.uniform(0.92, 1.07)
    return draw(rng, rgb(1 + 0.025 * warmth, 1.0, 1 - 0.035 * warmth), strength)


def _draw_day(rng: np.random.Generator, tint: Colour, strength: float) -> Light:
    return Light(
        mood="day",
        sun=_direction(rng.uniform(28, 58), rng.uniform(0, 360)),
        sunlight=rgb(1.42, 1.36, 1.24, strength) * tint,
        ambient=rgb(0.67, 0.70, 0.76) * tint,
        zenith=rgb(0.28, 0.50, 0.84, rng.uniform(0.85, 1.12)),
        horizon=rgb(0.72, 0.84, 0.95, rng.uniform(0.92, 1.03)),
        haze=rng.uniform(250, 700),
        clouds=rng.uniform(0.1, 0.75),
        lamps=0.0,
    )


def _draw_overcast(rng: np.random.Generator, tint: Colour, strength: float) -> Light:
    bright = rng.uniform(0.74, 0.92)
    return Light(
        mood="overcast",
        sun=_direction(70, rng.uniform(0, 360)),
        sunlight=grey(0.12),
        ambient=rgb(0.92, 0.94, 0.97, strength) * tint,
        zenith=rgb(0.86, 0.89, 0.94, bright),
        horizon=rgb(1.04, 1.05, 1.06, bright) * tint,
        haze=rng.uniform(80, 300),
        clouds=rng.uniform(0.8, 1.0),
        lamps=0.0,
    )


def _draw_dusk(rng: np.random.Generator, tint: Colour, strength: float) -> Light:
    ahead = rng.random() < 0.65
    return Light(
        mood="dusk",
        sun=_direction(rng.uniform(5, 13), rng.uniform(-38, 38) + (0 if ahead else 180)),
        sunlight=rgb(1.5, 1.02, 0.62, strength),
        ambient=rgb(0.54, 0.53, 0.63) * tint,
        zenith=rgb(0.27, 0.35, 0.58),
        horizon=rgb(1.0, 0.66, rng.uniform(0.38, 0.58), rng.uniform(0.75, 1.0)),
        haze=rng.uniform(120, 400),
        clouds=rng.uniform(0.15, 0.7),
        lamps=rng.uniform(0.5, 1.0),
    )


def _direction(elevation: float, azimuth: float) -> tuple[float, float, float]:
    """Return the unit vector towards a point of the sky, azimuth from ahead to the right, both in degrees."""
    up, around = math.radians(elevation), math.radians(azimuth)
    return math.cos(up) * math.sin(around), math.sin(up), math.cos(up) * math.cos(around)
