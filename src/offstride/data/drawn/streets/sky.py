"""The sky: a gradient, the glow around the sun, clouds in perspective, and far roofs or woods on the horizon."""

from dataclasses import dataclass

import numpy as np

from offstride.data.drawn import noise
from offstride.data.drawn.canvas import share
from offstride.data.drawn.colour import grey, rgb
from offstride.data.drawn.noise import Plane
from offstride.data.drawn.streets.kinds import BUILDING, SKY, TREE
from offstride.data.drawn.streets.view import View

FAR = 40
"""Metres from the end of the street to the far roofs."""


@dataclass(frozen=True)
class Sky:
    """Where clouds and far roofs are cut from the noise.

    Attributes:
        drift: Offset of the clouds, (x, y) in texels.
        stretch: How much wider than deep the clouds are.
        roofs: Heights in metres of the far skyline, one per step of the view's direction.
        woods: Whether there are woods instead.
    """

    drift: tuple[float, float]
    stretch: float
    roofs: Plane
    woods: bool


def draw_sky(rng: np.random.Generator) -> Sky:
    """Draw the clouds and the far skyline."""
    drift = rng.uniform(0, noise.SIDE), rng.uniform(0, noise.SIDE)
    return Sky(drift, rng.uniform(0.7, 1.6), rng.uniform(7, 24, 64).astype(np.float32), rng.random() < 0.4)


def paint_sky(view: View, sky: Sky) -> None:
    """Fill the canvas down to the horizon."""
    canvas, light = view.canvas, view.light
    area = canvas.area(0, 0, canvas.width, view.horizon + 1)
    if area is None:
        return
    rise, across = np.maximum(view.horizon - area.y, 0) / view.focal, (area.x - view.centre) / view.focal
    glow = _glow(view, across, rise)
    colour = light.horizon + (light.zenith - light.horizon) * (1 - np.exp(-4.5 * rise)) + light.sunlight * (0.5 * glow)
    cover, bright = _clouds(view, sky, across, rise)
    clouds = light.ambient * (0.62 + 0.25 * bright) + light.sunlight * (bright * (0.18 + 0.3 * glow))
    clouds += np.exp(-7 * rise) * (light.horizon - clouds)
    colour += cover * (clouds - colour)
    canvas.blend(area, np.ones_like(cover), colour, SKY)


def _glow(view: View, across: Plane, rise: Plane) -> Plane:
    """Return how bright the air around the sun is, (h, w): powers of the cosine between sun and view."""
    sun_x, sun_y, sun_z = view.light.sun
    cosine = (sun_x * across + sun_y * rise + sun_z) / np.sqrt(across * across + rise * rise + 1)
    broad = np.square(np.square(np.maximum(cosine, 0)))
    return 0.25 * broad + np.square(np.square(np.square(broad)))


def _clouds(view: View, sky: Sky, across: Plane, rise: Plane) -> tuple[Plane, Plane]:
    """Return cover and brightness, (h, w) each, of clouds that lie on a plane high above the camera."""
    far = 1 / (rise + 0.12)
    x, y = across * far * (13 * sky.stretch) + sky.drift[0], far * 16 + sky.drift[1]
    thick = noise.sample(1.75, x, y)
    sunward = noise.sample(1.75, x + 2 * view.light.sun[0], y - 2)
    cover = np.clip((thick - 1.5 + 2.9 * view.light.clouds) * 1.2, 0, 1)
    return cover * min(0.55 + 0.68 * view.light.clouds, 1.0), np.clip(0.6 + 0.9 * (thick - sunward), 0, 1.3)


def paint_far_roofs(view: View, sky: Sky) -> None:
    """Stand roofs or woods in the haze beyond the end of the street."""
    depth, canvas = view.street.end + FAR, view.canvas
    scale, foot = view.scale(depth), view.project(0, 0, depth)[1]
    area = canvas.area(0, foot - 40 * scale, canvas.width, foot)
    if area is None:
        return
    step = (area.x - view.centre) * (24 / view.focal) + 1000
    if sky.woods:
        heights = 9 + 2.5 * noise.sample(1.2, step * 1.5, np.full_like(step, sky.drift[0]))
    else:
        heights = sky.roofs[step.astype(np.int32) % sky.roofs.size]
    coverage = share(np.minimum(area.y - (foot - heights * scale), foot - area.y))
    colour, index = (rgb(0.22, 0.30, 0.18), TREE) if sky.woods else (grey(0.41), BUILDING)
    canvas.blend(area, coverage, view.lit(colour, 0.4, depth), index)
