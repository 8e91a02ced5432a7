"""Colours: linear light, float32, shape (3, 1, 1) or anything that broadcasts against (3, h, w)."""

import colorsys

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.floating]
Range = tuple[float, float]


def rgb(red: float, green: float, blue: float, scale: float = 1.0) -> Colour:
    """Return a colour given as a display shows it, 0 … 1 times `scale`, as linear light: the gamma is two."""
    return np.square(np.array([red, green, blue], np.float32) * scale).astype(np.float32).reshape(3, 1, 1)


def grey(value: float) -> Colour:
    """Return a grey given as a display shows it."""
    return rgb(value, value, value)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return a colour as a display shows it: its hue wraps around, saturation and value are clipped."""
    return rgb(*colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1)))


def draw_hsv(rng: np.random.Generator, hue: Range, saturation: Range, value: Range) -> Colour:
    """Draw a colour from ranges of hue, saturation and value."""
    return hsv(rng.uniform(*hue), rng.uniform(*saturation), rng.uniform(*value))
