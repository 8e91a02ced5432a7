"""Buildings along the street: fronts in perspective with windows, doors and shops, end walls, roofs."""

import colorsys
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offstride.data.streets import noise
from offstride.data.streets.canvas import Area, Colour
from offstride.data.streets.ground import stripe
from offstride.data.streets.kinds import BUILDING
from offstride.data.streets.light import rgb
from offstride.data.streets.noise import Plane
from offstride.data.streets.view import NEAREST, View

Style = Literal["suburb", "town", "city"]


@dataclass(frozen=True)
class Building:
    """One building; lengths in metres.

    Attributes:
        side: -1 left of the road, 1 right.
        near, far: Depths at which its front begins and ends.
        height: Height of the eaves.
        depth: How far it reaches away from the road.
        ridge: Height of the roof's ridge above the eaves; 0 is a flat roof.
        storey, bay: Distance from window to window, upwards and along the front.
        window: Width and height of the windows as shares of bay and storey.
        ground: Height of the ground floor.
        shop: Whether the ground floor has shop windows under an awning or a fascia.
        balconies: Whether railings stand before the windows.
        panes: Brightness of each window, (8, 8), repeating.
        phase: Offset into the noise, texels.
    """

    side: int
    near: float
    far: float
    height: float
    depth: float
    ridge: float
    storey: float
    bay: float
    window: tuple[float, float]
    ground: float
    shop: bool
    balconies: bool
    wall: Colour
    trim: Colour
    accent: Colour
    roof: Colour
    glass: Colour
    panes: Plane
    phase: float
    rough: float


def _colour(rng: np.random.Generator, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]):
    return rgb(*colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value)))


def _wall(rng: np.random.Generator, style: Style) -> Colour:
    """Draw a wall colour: brick, stone, plaster or paint; grey like the road one time in five."""
    kinds = {"suburb": (0.35, 0.2, 0.3, 0.15), "town": (0.3, 0.25, 0.25, 0.2), "city": (0.2, 0.3, 0.1, 0.4)}[style]
    match rng.choice(4, p=kinds):
        case 0:
            return _colour(rng, (-0.02, 0.05), (0.35, 0.6), (0.42, 0.62))
        case 1:
            return _colour(rng, (0.08, 0.13), (0.12, 0.35), (0.58, 0.8))
        case 2:
            return _colour(rng, (0.0, 1.0), (0.12, 0.4), (0.62, 0.86))
        case _:
            return _colour(rng, (0.5, 0.65), (0.0, 0.08), (0.34, 0.7))


def draw_building(rng: np.random.Generator, style: Style, side: int, near: float, far: float) -> Building:
    """Draw a building that fits a style and stands between two depths."""
    low, high = {"suburb": (4.5, 8.0), "town": (8.0, 15.0), "city": (13.0, 32.0)}[style]
    wall = _wall(rng, style)
    modern = style == "city" and rng.random() < 0.5
    trim = wall * rng.uniform(0.5, 0.8) if rng.random() < 0.4 else rgb(*[rng.uniform(0.72, 0.92)] * 3)
    pitched = rng.random() < {"suburb": 0.95, "town": 0.5, "city": 0.05}[style]
    depth = rng.uniform(8, 13)
    return Building(
        side=side,
        near=near,
        far=far,
        height=rng.uniform(low, high),
        depth=depth,
        ridge=depth * rng.uniform(0.25, 0.45) if pitched else 0.0,
        storey=rng.uniform(2.7, 3.6),
        bay=rng.uniform(1.9, 3.2) if modern else rng.uniform(2.3, 4.0),
        window=(rng.uniform(0.7, 0.92), rng.uniform(0.55, 0.72)) if modern else (rng.uniform(0.34, 0.52), rng.uniform(0.46, 0.62)),
        ground=rng.uniform(2.9, 4.0),
        shop=bool(rng.random() < {"suburb": 0.08, "town": 0.55, "city": 0.6}[style]),
        balconies=bool(rng.random() < 0.25),
        wall=wall,
        trim=trim,
        accent=_colour(rng, (0, 1), (0.4, 0.85), (0.3, 0.75)),
        roof=_colour(rng, (-0.02, 0.06), (0.3, 0.6), (0.32, 0.5)) if rng.random() < 0.6 else rgb(*[rng.uniform(0.24, 0.38)] * 3),
        glass=_colour(rng, (0.5, 0.62), (0.15, 0.45), (0.22, 0.36)),
        panes=rng.random((8, 8), np.float32),
        phase=float(rng.uniform(0, noise.SIDE)),
        rough=float(rng.uniform(0.04, 0.12)),
    )


def paint_building(view: View, building: Building) -> None:
    """Paint roof, end wall and front, in this order."""
    if building.far <= NEAREST:
        return
    _paint_roof(view, building)
    if building.near > NEAREST:
        _paint_end(view, building)
    _paint_front(view, building)


def _paint_roof(view: View, building: Building) -> None:
    if not building.ridge:
        return
    x, ridge_x = building.side * view.street.front, building.side * (view.street.front + building.depth / 2)
    top = building.height + building.ridge
    eaves_x = x - building.side * 0.35
    slope = [
        (eaves_x, building.height - 0.15, building.near - 0.2),
        (ridge_x, top, building.near - 0.2),
        (ridge_x, top, building.far),
        (eaves_x, building.height - 0.15, building.far),
    ]
    lean = building.depth / 2
    size = (building.ridge**2 + lean**2) ** 0.5
    facing = view.light.facing(-building.side * building.ridge / size, lean / size, 0)
    middle = (max(building.near, 0) + building.far) / 2
    chimney_z = building.near * 0.35 + building.far * 0.65
    _paint_chimney(view, building, ridge_x, top, chimney_z)
    colour = view.lit(building.roof, facing, middle)
    eaves, ridge = view.project(x, building.height, middle)[1], view.project(ridge_x, top, middle)[1]

    def tiles(area: Area) -> Colour:
        rows = (area.y - ridge) / max(eaves - ridge, 1) * 14
        return colour * (1 + (0.10 * np.sin(rows * 6.28) if eaves - ridge > 28 else 0) + 0.06 * noise.sample(0.9, area.x * 0.7, area.y * 2.1))

    view.canvas.polygon(view.outline(slope), tiles, BUILDING)


def _paint_chimney(view: View, building: Building, x: float, top: float, z: float) -> None:
    if z < 4 or view.scale(z) < 4:
        return
    box = [(x - 0.45, top - 1.2, z), (x - 0.45, top + 1.0, z), (x + 0.45, top + 1.0, z), (x + 0.45, top - 1.2, z)]
    view.canvas.polygon(view.outline(box), view.lit(building.wall * 0.7, view.light.facing(0, 0, -1), z), BUILDING)


def _paint_end(view: View, building: Building) -> None:
    """Paint the wall that faces the camera, with its gable."""
    z, height = building.near, building.height
    x, back = building.side * view.street.front, building.side * (view.street.front + building.depth)
    corners = [(x, 0.0, z), (x, height, z), ((x + back) / 2, height + building.ridge, z), (back, height, z), (back, 0.0, z)]
    pixel = 1 / view.scale(z)
    facing = view.light.facing(0, 0, -1)

    def wall(area: Area) -> Colour:
        along = np.abs((area.x - view.centre) * pixel + view.eye_x - x)
        y = (view.horizon - area.y) * pixel + view.eye_y
        width = np.float32(pixel)
        return _surface(view, building, along, y, width, width, np.float32(z), facing * np.ones_like(y), blank=True)

    view.canvas.polygon(view.outline(corners), wall, BUILDING)


def _paint_front(view: View, building: Building) -> None:
    """Paint the wall along the street: each column of pixels sees it at one depth."""
    x, near = building.side * view.street.front, max(building.near, NEAREST)
    corners = [(x, -0.1, near), (x, building.height, near), (x, building.height, building.far), (x, -0.1, building.far)]
    offset = x - view.eye_x
    facing = view.light.facing(-building.side, 0, 0)

    def wall(area: Area) -> Colour:
        bearing = (area.x - view.centre) * building.side
        z = np.clip(view.focal * abs(offset) / np.maximum(bearing, 0.5), near, building.far)
        pixel = z / view.focal
        y = (view.horizon - area.y) * pixel + view.eye_y
        sun = facing * view.street.sunlit(view.light, np.float32(x), y, z) if facing else np.zeros((1, 1), np.float32)
        return _surface(view, building, z - building.near, y, z * pixel / abs(offset), pixel, z, sun)

    view.canvas.polygon(view.outline(corners), wall, BUILDING)


def _surface(
    view: View, building: Building, along: Plane, y: Plane, width: Plane, pixel: Plane, z: Plane, sun: Plane, blank: bool = False
) -> Colour:
    """Return the colour (3, h, w) of a wall as seen.

    Args:
        along: Metres along the wall.
        y: Metres above the ground.
        width: Metres along the wall that a pixel covers.
        pixel: Metres upwards that a pixel covers.
        z: Depth in metres.
        sun: Sunlight that meets the wall, cosine times visible share.
        blank: Whether the wall has only a few small windows.
    """
    light = view.light
    texture = noise.sample(0.9, along * 10 + building.phase, y * 14)
    tone = 1 + building.rough * texture / (1 + 10 * pixel)
    tone = tone - 0.10 * stripe(y, 0, 0.6, pixel) + 0.10 * stripe(y, building.height - 0.5, building.height - 0.1, pixel)
    albedo = building.wall * tone
    glow = None
    if not blank:
        glow = _openings(view, building, albedo, along, y, width, pixel)
    near_ground = np.clip(0.72 + 0.07 * y, 0.5, 1)
    seen = albedo * (light.sunlight * sun + light.ambient * near_ground)
    if glow is not None:
        seen += glow
    haze = view.haze(z)
    seen += haze * (view.haze_colour - seen)
    return seen


def _openings(
    view: View, building: Building, albedo: Colour, along: Plane, y: Plane, width: Plane, pixel: Plane
) -> Colour | None:
    """Cut windows, doors and shop fronts into an albedo in place; return the light of lit windows."""
    upper = (y - building.ground) / building.storey
    bay = along / building.bay
    storeys = max(round((building.height - building.ground - 0.6) / building.storey - 0.3), 0)
    floor, column = np.floor(upper), np.floor(bay)
    wide, tall = building.window
    u, v = bay - column, upper - floor
    span, rise = width / building.bay, pixel / building.storey
    above = stripe(upper, 0, storeys, rise)
    frame = stripe(u, 0.5 - wide / 2 - 0.03, 0.5 + wide / 2 + 0.03, span) * (stripe(v, 0.16, 0.24 + tall, rise) * above)
    glass = stripe(u, 0.5 - wide / 2, 0.5 + wide / 2, span) * (stripe(v, 0.2, 0.2 + tall, rise) * above)
    pane = building.panes[floor.astype(np.int32) & 7, column.astype(np.int32) & 7]
    mirror = building.glass * (0.6 + 0.5 * pane) + (pane > 0.55) * (0.3 * (v - 0.2)) * view.light.horizon
    albedo += frame * (building.trim - albedo)
    mullion = np.abs(u - 0.5) < 0.02 if wide > 0.3 else False
    albedo += glass * np.where(mullion, 0.35, 1) * (mirror - albedo)
    if building.balconies:
        rail = stripe(v, 0.05, 0.32, rise) * stripe(u, 0.12, 0.88, span) * above
        albedo += rail * 0.7 * (building.trim * 0.35 - albedo)
    glow = None
    if view.light.lamps:
        glow = (glass * np.clip((pane - 1 + 0.45 * view.light.lamps) * 8, 0, 1)) * rgb(1.0, 0.80, 0.48)
    shop = _ground_floor(building, albedo, u, column, y, span, pixel)
    if view.light.lamps and building.shop:
        glow = shop * (0.75 * view.light.lamps) * rgb(1.0, 0.86, 0.62) + (0 if glow is None else glow)
    return glow


def _ground_floor(
    building: Building, albedo: Colour, u: Plane, column: Plane, y: Plane, span: Plane, pixel: Plane
) -> Plane:
    """Paint shop windows under a fascia, or doors and small windows, in place; return the panes that can be lit."""
    top = building.ground
    door = np.mod(column, 3) == 1
    if building.shop:
        glass = np.where(door, stripe(u, 0.3, 0.7, span) * stripe(y, 0.1, 2.3, pixel), stripe(u, 0.07, 0.93, span) * stripe(y, 0.55, top - 0.85, pixel))
        below = stripe(y, -1, top - 0.1, pixel)
        albedo += 0.6 * below * (building.accent * 0.5 - albedo)
        albedo += glass * (building.glass * (0.7 + 0.3 * u) - albedo)
        fascia = stripe(y, top - 0.75, top - 0.1, pixel)
        albedo += fascia * (building.accent - albedo)
        letters = fascia * stripe(y, top - 0.55, top - 0.32, pixel) * (np.mod(u * 9, 1) < 0.7) * stripe(u, 0.2, 0.8, span)
        albedo += 0.8 * letters * (0.85 - albedo)
        return glass
    leaf = stripe(u, 0.34, 0.66, span) * stripe(y, -0.1, 2.25, pixel)
    pane = stripe(u, 0.28, 0.72, span) * stripe(y, 1.0, 2.35, pixel)
    albedo += np.where(door, leaf, 0) * (building.accent * 0.6 - albedo)
    albedo += np.where(door, 0, stripe(u, 0.24, 0.76, span) * stripe(y, 0.9, 2.45, pixel)) * (building.trim - albedo)
    albedo += np.where(door, 0, pane) * (building.glass * (0.8 + 0.4 * u) - albedo)
    return pane


def paint_street_end(view: View, building: Building) -> None:
    """Close the street with a building that faces the camera; its windows are those of `building`."""
    z, front = view.street.end, view.street.front + 6
    corners = [(-front, 0.0, z), (-front, building.height, z), (front, building.height, z), (front, 0.0, z)]
    if building.ridge:
        corners.insert(2, (0.0, building.height + building.ridge, z))
    pixel = np.float32(1 / view.scale(z))
    facing = view.light.facing(0, 0, -1)

    def wall(area: Area) -> Colour:
        along = (area.x - view.centre) * pixel + view.eye_x + front
        y = (view.horizon - area.y) * pixel + view.eye_y
        return _surface(view, building, along, y, pixel, pixel, np.float32(z), facing * np.ones_like(y))

    view.canvas.polygon(view.outline(corners), wall, BUILDING)
