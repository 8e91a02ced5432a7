"""Light of a scene: sun, sky and haze for a bright day, an overcast day or dusk. Colours are linear light, (3, 1, 1)."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offstride.data.streets.canvas import Colour

Mood = Literal["day", "overcast", "dusk"]


def rgb(red: float, green: float, blue: float) -> Colour:
    """Return a colour given as seen on a display (0..1) as linear light, with a gamma of two."""
    return np.array([red * red, green * green, blue * blue], np.float32).reshape(3, 1, 1)


@dataclass(frozen=True)
class Light:
    """What lights the street.

    Attributes:
        sun: unit vector towards the sun, (x right, y up, z ahead).
        sunlight: radiance of a surface that faces the sun, on top of `ambient`.
        ambient: radiance of a surface in the shade.
        haze_distance: metres after which 63 % of a colour is haze.
        clouds: 0 clear .. 1 covered.
        lamps: 0 off .. 1 the street lamps and windows are lit.
    """

    mood: Mood
    sun: tuple[float, float, float]
    sunlight: Colour
    ambient: Colour
    zenith: Colour
    horizon: Colour
    haze_distance: float
    clouds: float
    lamps: float

    def facing(self, x: float, y: float, z: float) -> float:
        """Return the cosine between the sun and a surface normal, 0 for surfaces that look away from it."""
        return max(self.sun[0] * x + self.sun[1] * y + self.sun[2] * z, 0.0)


def draw_light(rng: np.random.Generator) -> Light:
    """Draw a mood and everything that follows from it."""
    mood: Mood = ("day", "day", "overcast", "dusk")[rng.integers(4)]
    warmth, strength = rng.uniform(-1, 1), rng.uniform(0.85, 1.15)
    tint = np.array([1 + 0.05 * warmth, 1.0, 1 - 0.07 * warmth], np.float32).reshape(3, 1, 1)
    if mood == "day":
        return Light(
            mood,
            _direction(rng.uniform(28, 58), rng.uniform(0, 360)),
            rgb(1.42, 1.36, 1.24) * tint * strength,
            rgb(0.62, 0.67, 0.75) * tint,
            rgb(*(np.array([0.28, 0.50, 0.84]) * rng.uniform(0.85, 1.12))),
            rgb(*(np.array([0.72, 0.84, 0.95]) * rng.uniform(0.92, 1.03))),
            rng.uniform(250, 700),
            rng.uniform(0.1, 0.75),
            0.0,
        )
    if mood == "overcast":
        grey = rng.uniform(0.74, 0.92)
        return Light(
            mood,
            _direction(70, rng.uniform(0, 360)),
            rgb(0.12, 0.12, 0.12),
            rgb(0.92, 0.94, 0.97) * tint * strength,
            rgb(0.86 * grey, 0.89 * grey, 0.94 * grey),
            rgb(1.04 * grey, 1.05 * grey, 1.06 * grey) * tint,
            rng.uniform(80, 300),
            rng.uniform(0.8, 1.0),
            0.0,
        )
    ahead = rng.random() < 0.65
    glow = rng.uniform(0.75, 1.0)
    return Light(
        mood,
        _direction(rng.uniform(5, 13), rng.uniform(-38, 38) + (0 if ahead else 180)),
        rgb(1.5, 1.02, 0.62) * strength,
        rgb(0.50, 0.49, 0.60) * tint,
        rgb(0.27, 0.35, 0.58),
        rgb(1.0 * glow, 0.66 * glow, 0.46 + 0.1 * warmth),
        rng.uniform(120, 400),
        rng.uniform(0.15, 0.7),
        rng.uniform(0.5, 1.0),
    )


def _direction(elevation: float, azimuth: float) -> tuple[float, float, float]:
    up, around = math.radians(elevation), math.radians(azimuth)
    return math.cos(up) * math.sin(around), math.sin(up), math.cos(up) * math.cos(around)
