"""The sky: a gradient, the glow around the sun, clouds in perspective, and far roofs along the horizon."""

from dataclasses import dataclass

import numpy as np

from offstride.data.streets import noise
from offstride.data.streets.kinds import BUILDING, SKY, TREE
from offstride.data.streets.light import rgb
from offstride.data.streets.view import View


@dataclass(frozen=True)
class Sky:
    """Where clouds and far roofs are cut from the noise.

    Attributes:
        drift: Offset of the clouds in texels.
        stretch: How much wider than deep the clouds are.
        roofs: Heights in metres of the far skyline, one per step of view direction.
        woods: Whether the far skyline is of trees.
    """

    drift: tuple[float, float]
    stretch: float
    roofs: np.ndarray
    woods: bool


def draw_sky(rng: np.random.Generator) -> Sky:
    """Draw the clouds and the far skyline."""
    woods = bool(rng.random() < 0.4)
    roofs = rng.uniform(8, 20, 64) if woods else rng.uniform(6, 30, 64) * rng.choice([1.0, 1.0, 1.8], 64)
    drift = rng.uniform(0, noise.SIDE, 2)
    return Sky((float(drift[0]), float(drift[1])), float(rng.uniform(0.7, 1.6)), roofs.astype(np.float32), woods)


def paint_sky(view: View, sky: Sky) -> None:
    """Fill the canvas down to the horizon."""
    canvas, light = view.canvas, view.light
    area = canvas.area(0, 0, canvas.width, view.horizon + 1)
    if area is None:
        return
    rise = np.maximum(view.horizon - area.y, 0) / view.focal
    colour = light.horizon + (light.zenith - light.horizon) * (1 - np.exp(-4.5 * rise))
    across = (area.x - view.centre) / view.focal
    glow = _glow(view, across, rise)
    colour = colour + glow * light.sunlight * np.float32(0.5)
    cover, lit = _clouds(view, sky, across, rise)
    shade = light.ambient * (0.62 + 0.25 * lit) + light.sunlight * (lit * (0.18 + 0.3 * glow))
    shade = shade + np.exp(-7 * rise) * (light.horizon - shade)
    colour = colour + cover * (shade - colour)
    canvas.blend(area, np.ones_like(rise), colour, SKY)


def _glow(view: View, across: np.ndarray, rise: np.ndarray) -> np.ndarray:
    """Return the brightness (h, w) of the air around the sun."""
    sun_x, sun_y, sun_z = view.light.sun
    cosine = (sun_x * across + sun_y * rise + sun_z) / np.sqrt(across * across + rise * rise + 1)
    cosine = np.maximum(cosine, 0)
    cosine *= cosine
    broad = cosine * cosine
    sharp = broad * broad
    sharp = sharp * sharp
    return 0.25 * broad + sharp * sharp


def _clouds(view: View, sky: Sky, across: np.ndarray, rise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cover and the brightness of the clouds, (h, w) each, on a plane high above the camera."""
    far = 1 / (rise + 0.12)
    x, y = across * far * (13 * sky.stretch) + sky.drift[0], far * 16 + sky.drift[1]
    thick = noise.sample(1.75, x, y)
    level = 1.5 - 2.9 * view.light.clouds
    cover = np.clip((thick - level) * 0.9, 0, 1)
    body = noise.sample(1.75, x + 2.0 * view.light.sun[0], y - 2.0)
    return cover * (0.55 + 0.45 * min(view.light.clouds * 1.5, 1)), np.clip(0.6 + 0.9 * (thick - body), 0, 1.3)


def paint_far_roofs(view: View, sky: Sky) -> None:
    """Stand hazy roofs or woods along the horizon, beyond the end of the street."""
    depth = view.street.end + 90
    scale = view.scale(depth)
    canvas = view.canvas
    area = canvas.area(0, view.horizon - 60 * scale, canvas.width, view.horizon + 1)
    if area is None:
        return
    step = (area.x - view.centre) / view.focal * 24 + 1000
    heights = sky.roofs[step.astype(np.int32) % sky.roofs.size]
    if sky.woods:
        heights = heights.mean() + 3 * noise.sample(1.2, step * 1.5, np.float32(sky.drift[0]) + np.zeros_like(step))
    top = view.horizon - heights * scale
    coverage = np.clip(area.y - top + 0.5, 0, 1)
    colour = rgb(0.22, 0.30, 0.18) if sky.woods else rgb(0.42, 0.40, 0.39)
    canvas.blend(area, coverage, view.lit(colour, 0.4, depth), TREE if sky.woods else BUILDING)
