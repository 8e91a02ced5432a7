"""Facades: walls with windows, doors, balconies and shops, drawn as functions of metres along and above the ground."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from offstride.data.drawn import noise
from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour, draw_hsv, grey, rgb
from offstride.data.drawn.noise import Plane
from offstride.data.drawn.streets.ground import part, stripe
from offstride.data.drawn.streets.view import View

COARSE = 0.22
"""Metres per pixel from which on doors and shops are left out."""

Style = Literal["suburb", "town", "city"]
STYLES: tuple[Style, ...] = get_args(Style)


@dataclass(frozen=True)
class Facade:
    """How a building's walls look; lengths in metres.

    Attributes:
        height: Of the eaves.
        storey, bay: Distance from window to window, upwards and along the front.
        window: Width and height of the windows as shares of bay and storey.
        ground: Height of the ground floor.
        shop: Whether the ground floor has shop windows below a fascia.
        balconies: Whether railings stand before the windows.
        blind: Whether the walls across the street have no windows.
        panes: Brightness of each window, (8, 8), repeating.
        rough: Contrast of the plaster or brick.
        phase: Offset into the noise, texels.
    """

    height: float
    storey: float
    bay: float
    window: tuple[float, float]
    ground: float
    shop: bool
    balconies: bool
    blind: bool
    wall: Colour
    trim: Colour
    accent: Colour
    glass: Colour
    panes: Plane
    rough: float
    phase: float


@dataclass(frozen=True)
class Sight:
    """What the pixels of an area see of a wall.

    Attributes:
        along, y: Metres along the wall and above the ground; y is (h, w).
        width, pixel: Metres along the wall and upwards that a pixel covers.
        z: Depth in metres.
        sun: Sunlight that meets the wall: the cosine times the share that no building keeps off.
    """

    along: Plane
    y: Plane
    width: Plane
    pixel: Plane
    z: Plane
    sun: Plane | float


WALLS = (
    ((-0.02, 0.05), (0.30, 0.58), (0.40, 0.62)),
    ((0.08, 0.13), (0.12, 0.35), (0.58, 0.80)),
    ((0.0, 1.0), (0.08, 0.28), (0.60, 0.84)),
    ((0.5, 0.65), (0.0, 0.08), (0.34, 0.70)),
)
"""Ranges of hue, saturation and value of brick, sandstone, paint and concrete; the last is as grey as a road."""


def draw_facade(rng: np.random.Generator, style: Style, height: float) -> Facade:
    """Draw a facade that fits a style."""
    materials = {"suburb": (0.35, 0.2, 0.3, 0.15), "town": (0.3, 0.25, 0.25, 0.2), "city": (0.2, 0.3, 0.1, 0.4)}
    shops = {"suburb": 0.08, "town": 0.55, "city": 0.6}
    wall = draw_hsv(rng, *pick(rng, WALLS, materials[style]))
    glazed = style == "city" and rng.random() < 0.5
    bay, wide, tall = ((1.9, 3.2), (0.70, 0.92), (0.55, 0.72)) if glazed else ((2.3, 4.0), (0.34, 0.52), (0.46, 0.62))
    return Facade(
        height=height,
        storey=rng.uniform(2.7, 3.6),
        bay=rng.uniform(*bay),
        window=(rng.uniform(*wide), rng.uniform(*tall)),
        ground=rng.uniform(2.9, 4.0),
        shop=rng.random() < shops[style],
        balconies=rng.random() < 0.25,
        blind=rng.random() < 0.5,
        wall=wall,
        trim=wall * rng.uniform(0.5, 0.8) if rng.random() < 0.4 else grey(rng.uniform(0.72, 0.92)),
        accent=draw_hsv(rng, (0, 1), (0.3, 0.75), (0.25, 0.55)),
        glass=draw_hsv(rng, (0.5, 0.62), (0.15, 0.45), (0.22, 0.36)),
        panes=rng.random((8, 8), np.float32),
        rough=rng.uniform(0.04, 0.12),
        phase=rng.uniform(0, noise.SIDE),
    )


def wall_colour(view: View, facade: Facade, sight: Sight, blank: bool = False) -> Colour:
    """Return the colour (3, h, w) of a wall as seen; a `blank` one has no windows."""
    y, pixel = sight.y, sight.pixel
    tone = 1 - 0.10 * stripe(y, 0, 0.6, pixel) + 0.10 * stripe(y, facade.height - 0.5, facade.height - 0.1, pixel)
    if y.size > 400:
        plaster = noise.sample(0.6, sight.along * 14 + facade.phase, y * 20)
        tone += plaster * (facade.rough / (1 + 10 * pixel))
    colour = facade.wall * tone
    bulbs = None if blank else _openings(view, facade, colour, sight)
    colour *= view.light.sunlight * sight.sun + view.light.ambient * np.clip(0.72 + 0.07 * y, 0.5, 1)
    if bulbs is not None and view.light.lamps:
        colour += bulbs * rgb(1.0, 0.82, 0.52)
    haze = view.haze(sight.z)
    colour += haze * (view.haze_colour - colour)
    return colour


def _openings(view: View, facade: Facade, albedo: Colour, sight: Sight) -> Plane:
    """Cut windows, doors and shops into an albedo in place; return how brightly they are lit, (h, w)."""
    bulbs = np.zeros_like(sight.y)
    sides = sight.y[:, [0, -1]]
    upper = int(np.count_nonzero(sides.max(axis=1) > facade.ground))
    lower = int(np.count_nonzero(sides.min(axis=1) > facade.ground))
    if upper:
        bulbs[:upper] += _windows(view, facade, albedo[:, :upper], replace(sight, y=sight.y[:upper]))
    if lower < sight.y.shape[0] and sight.pixel.min() < COARSE:
        paint = _shop if facade.shop else _doors
        bulbs[lower:] += paint(facade, albedo[:, lower:], replace(sight, y=sight.y[lower:])) * (0.75 * view.light.lamps)
    return bulbs


def _windows(view: View, facade: Facade, albedo: Colour, sight: Sight) -> Plane:
    """Paint the windows of the upper floors with frames, mullions and balconies; return those that are lit."""
    upper, bays = (sight.y - facade.ground) / facade.storey, sight.along / facade.bay
    floor, column = np.floor(upper), np.floor(bays)
    u, v = bays - column, upper - floor
    span, rise = sight.width / facade.bay, sight.pixel / facade.storey
    wide, tall = facade.window[0] / 2, facade.window[1]
    above = stripe(upper, 0, max(round((facade.height - facade.ground - 0.6) / facade.storey - 0.3), 0), rise)
    frame = stripe(u, 0.47 - wide, 0.53 + wide, span) * (stripe(v, 0.16, 0.24 + tall, rise) * above)
    albedo += frame * (facade.trim - albedo)
    glass = stripe(u, 0.5 - wide, 0.5 + wide, span) * (stripe(v, 0.2, 0.2 + tall, rise) * above)
    pane = facade.panes[floor.astype(np.int32) & 7, column.astype(np.int32) & 7]
    mirror = facade.glass * (0.6 + 0.5 * pane) + view.light.horizon * ((pane > 0.55) * (0.3 * (v - 0.2)))
    albedo += glass * (1 - 0.65 * stripe(u, 0.48, 0.52, span)) * (mirror - albedo)
    if facade.balconies:
        rail = stripe(v, 0.05, 0.32, rise) * (stripe(u, 0.12, 0.88, span) * 0.7) * above
        albedo += rail * (facade.trim * 0.35 - albedo)
    return glass * np.clip((pane - 1 + 0.45 * view.light.lamps) * 8, 0, 1)


def _bays(facade: Facade, sight: Sight) -> tuple[Plane, Plane, NDArray[np.bool_]]:
    """Return where in its bay a pixel is, how much of a bay it covers, and whether the bay has a door."""
    bays = sight.along / facade.bay
    column = np.floor(bays)
    return bays - column, sight.width / facade.bay, column.astype(np.int32) % 3 == 1


def _shop(facade: Facade, albedo: Colour, sight: Sight) -> Plane:
    """Paint shop windows under a lettered fascia, in place; return the panes (h, w)."""
    y, pixel, top = sight.y, sight.pixel, facade.ground
    u, span, door = _bays(facade, sight)
    albedo += stripe(y, -1, top - 0.1, pixel) * 0.6 * (facade.accent * 0.5 - albedo)
    entrance = stripe(u, 0.3, 0.7, span) * door * stripe(y, 0.1, 2.3, pixel)
    panes = entrance + stripe(u, 0.07, 0.93, span) * ~door * stripe(y, 0.55, top - 0.85, pixel)
    albedo += panes * (facade.glass * (0.7 + 0.3 * u) - albedo)
    albedo += stripe(y, top - 0.75, top - 0.1, pixel) * (facade.accent - albedo)
    letters = stripe(y, top - 0.55, top - 0.32, pixel) * (stripe(u, 0.2, 0.8, span) * (part(u * 9) < 0.7) * 0.8)
    albedo += letters * (0.85 - albedo)
    return panes


def _doors(facade: Facade, albedo: Colour, sight: Sight) -> Plane:
    """Paint a door in every third bay and windows in the others, in place; return panes that are dark (zeros)."""
    y, pixel = sight.y, sight.pixel
    u, span, door = _bays(facade, sight)
    leaf = stripe(u, 0.34, 0.66, span) * door * stripe(y, -0.1, 2.25, pixel)
    albedo += leaf * (facade.accent * 0.6 - albedo)
    frame = stripe(u, 0.24, 0.76, span) * ~door * stripe(y, 0.9, 2.45, pixel)
    albedo += frame * (facade.trim - albedo)
    panes = stripe(u, 0.28, 0.72, span) * ~door * stripe(y, 1.0, 2.35, pixel)
    albedo += panes * (facade.glass * (0.8 + 0.4 * u) - albedo)
    return np.zeros_like(y)
