"""Buildings along the street: fronts in perspective, end walls with gables, roofs with chimneys."""

import math
from dataclasses import dataclass

import numpy as np

from offstride.data.drawn import noise
from offstride.data.drawn.canvas import Area
from offstride.data.drawn.colour import Colour, draw_hsv, grey
from offstride.data.drawn.streets.facades import Facade, Sight, Style, draw_facade, wall_colour
from offstride.data.drawn.streets.ground import part
from offstride.data.drawn.streets.kinds import BUILDING
from offstride.data.drawn.streets.view import NEAREST, View

OVERHANG = 0.35
"""Metres by which a roof stands out over the front."""


@dataclass(frozen=True)
class Building:
    """One building; lengths in metres.

    Attributes:
        side: -1 left of the road, 1 right.
        near, far: Depths at which its front begins and ends.
        height: Height of the eaves.
        depth: How far it reaches away from the road.
        ridge: Height of the roof's ridge above the eaves; 0 is a flat roof.
        hidden: Height up to which a neighbour stands against the wall that faces the camera.
    """

    side: int
    near: float
    far: float
    height: float
    depth: float
    ridge: float
    hidden: float
    roof: Colour
    facade: Facade

    @property
    def z(self) -> float:
        """Depth of the wall that faces the camera."""
        return self.near

    def paint(self, view: View) -> None:
        """Paint roof, end wall and front, in this order."""
        if self.far <= NEAREST:
            return
        if self.ridge:
            _paint_roof(view, self)
        if self.near > NEAREST and self.height + self.ridge > self.hidden:
            _paint_end(view, self)
        _paint_front(view, self)


def draw_building(
    rng: np.random.Generator, style: Style, side: int, near: float, far: float, hidden: float = 0.0
) -> Building:
    """Draw a building that fits a style and stands between two depths."""
    low, high = {"suburb": (4.5, 8.0), "town": (8.0, 15.0), "city": (13.0, 32.0)}[style]
    height, depth = rng.uniform(low, high), rng.uniform(8, 13)
    pitched = rng.random() < {"suburb": 0.95, "town": 0.5, "city": 0.05}[style]
    ridge = depth * rng.uniform(0.25, 0.45) if pitched else 0.0
    clay = rng.random() < 0.6
    roof = draw_hsv(rng, (-0.02, 0.06), (0.3, 0.6), (0.32, 0.5)) if clay else grey(rng.uniform(0.24, 0.38))
    return Building(side, near, far, height, depth, ridge, hidden, roof, draw_facade(rng, style, height))


def _paint_roof(view: View, building: Building) -> None:
    """Paint the slope towards the street, row by row of tiles, before a chimney behind its ridge."""
    side, slope = building.side, building.ridge / (building.depth / 2)
    run, rise = building.depth / 2 + OVERHANG, building.ridge + OVERHANG * slope
    x0, y0 = side * (view.street.front - OVERHANG), building.height - OVERHANG * slope
    x1, y1, near = x0 + side * run, y0 + rise, building.near - 0.2
    size = math.hypot(run, rise)
    light = view.light.sunlight * view.light.facing(-side * rise / size, run / size, 0) + view.light.ambient
    _paint_chimney(view, building, x1, y1, building.near * 0.35 + building.far * 0.65)

    def tiles(area: Area) -> Colour:
        right, up = area.x - view.centre, view.horizon - area.y
        turn = side * run * up - rise * right
        t = ((y0 - view.eye_y) * right - (x0 - view.eye_x) * up) / np.where(np.abs(turn) < 1, 1, turn)
        t = np.clip(t, 0, 1)
        z = view.focal * np.abs(x0 + side * run * t - view.eye_x) / np.maximum(np.abs(right), 0.5)
        courses = (0.3 * part(t * (size / 0.45)) - 0.15) / (1 + (12 / view.focal) * z)
        colour = building.roof * light * (1 + courses + 0.09 * noise.sample(0.9, t * 40, z * 6 + building.facade.phase))
        return colour + view.haze(z) * (view.haze_colour - colour)

    corners = [(x0, y0, near), (x1, y1, near), (x1, y1, building.far), (x0, y0, building.far)]
    view.canvas.polygon(view.outline(corners), tiles, BUILDING)


def _paint_chimney(view: View, building: Building, x: float, top: float, z: float) -> None:
    if z < 4:
        return
    box = [(x - 0.45, top - 1.2, z), (x - 0.45, top + 1.0, z), (x + 0.45, top + 1.0, z), (x + 0.45, top - 1.2, z)]
    brick = view.lit(building.facade.wall * 0.7, view.light.facing(0, 0, -1), z)
    view.canvas.polygon(view.outline(box), brick, BUILDING)


def _paint_end(view: View, building: Building) -> None:
    """Paint the wall that faces the camera."""
    front, back = building.side * view.street.front, building.side * (view.street.front + building.depth)
    _paint_facing(view, building, front, back, building.near, blank=True)


def paint_street_end(view: View, building: Building) -> None:
    """Close the street with a building that faces the camera."""
    beside = view.street.front + 6
    _paint_facing(view, building, -beside, beside, view.street.end)


def _paint_facing(view: View, building: Building, start: float, stop: float, z: float, blank: bool = False) -> None:
    """Paint a wall with its gable at one depth, from `start` to `stop` metres right of the road's middle."""
    height = building.height
    gable = ((start + stop) / 2, height + building.ridge, z)
    sun = view.light.facing(0, 0, -1)

    def wall(area: Area) -> Colour:
        depth = np.full_like(area.x, z)
        pixel = depth / view.focal
        along = np.abs((area.x - view.centre) * pixel + (view.eye_x - start))
        y = (view.horizon - area.y) * pixel + view.eye_y
        return wall_colour(view, building.facade, Sight(along, y, pixel, pixel, depth, sun), blank)

    corners = [(start, 0, z), (start, height, z), gable, (stop, height, z), (stop, 0, z)]
    view.canvas.polygon(view.outline(corners), wall, BUILDING)


def _paint_front(view: View, building: Building) -> None:
    """Paint the wall along the street: each column of pixels sees it at one depth."""
    x, near = building.side * view.street.front, max(building.near, NEAREST)
    offset = abs(x - view.eye_x)
    facing = view.light.facing(-building.side, 0, 0)

    def wall(area: Area) -> Colour:
        z = view.focal * offset / np.maximum((area.x - view.centre) * building.side, 0.5)
        z = np.clip(z, near, building.far)
        pixel = z / view.focal
        y = (view.horizon - area.y) * pixel + view.eye_y
        sun = facing * view.street.sunlit(view.light, np.full_like(z, x), y, z) if facing else 0.0
        return wall_colour(view, building.facade, Sight(z - building.near, y, z * pixel / offset, pixel, z, sun))

    corners = [(x, -0.1, near), (x, building.height, near), (x, building.height, building.far), (x, -0.1, building.far)]
    view.canvas.polygon(view.outline(corners), wall, BUILDING)
