"""The ground: asphalt with its markings, kerb and paving, and the shadows that fall on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offstride.data.drawn import noise
from offstride.data.drawn.canvas import Area, Point, capsule_depth, share
from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour, grey, rgb
from offstride.data.drawn.noise import Plane
from offstride.data.drawn.streets.kinds import PAVEMENT, ROAD
from offstride.data.drawn.streets.light import Light
from offstride.data.drawn.streets.view import View

FAINTEST = 0.3
"""Radius in pixels from which on a shadow is painted."""


@dataclass(frozen=True)
class Shadow:
    """A rounded stroke of shade on the ground, from (x, z) to (x, z).

    Attributes:
        softness: Width of the penumbra in metres.
        depth: Share of the light that is taken away.
        leafy: Whether light falls through in places.
        contact: Whether it is shade from the sky too, as under a car.
    """

    start: Point
    end: Point
    radius: float
    softness: float = 0.1
    depth: float = 1.0
    leafy: bool = False
    contact: bool = False


def cast(light: Light, x: float, z: float, low: float, high: float, radius: float, leafy: bool = False) -> list[Shadow]:
    """Return the shadow of an upright stroke that stands at (x, z) between two heights: none without sun."""
    if light.mood == "overcast":
        return []
    sun_x, sun_y, sun_z = light.sun

    def fall(height: float) -> Point:
        return x - height * sun_x / sun_y, z - height * sun_z / sun_y

    return [Shadow(fall(low), fall(high), radius, softness=0.06 + 0.03 * (low + high), leafy=leafy)]


@dataclass(frozen=True)
class Ground:
    """Materials and markings.

    Attributes:
        lines: Painted along the road: (distance from the middle, width, dash, gap) in metres; gap 0 is a solid line.
        crossing: Depth in metres at which a zebra crossing begins, or None.
        slab: Length of the paving slabs, metres.
        patches: Repairs of the asphalt as (x, z, half width, half length, tone).
        phase: Offset into the noise, texels.
    """

    asphalt: Colour
    paving: Colour
    kerb: Colour
    marking: Colour
    lines: tuple[tuple[float, float, float, float], ...]
    crossing: float | None
    slab: float
    patches: tuple[tuple[float, float, float, float, float], ...]
    phase: float


def draw_ground(rng: np.random.Generator, half: float) -> Ground:
    """Draw the materials of a road `half` metres wide on each side."""
    tone, warmth = rng.uniform(0.30, 0.46), rng.uniform(-0.02, 0.03)
    pale = rng.uniform(0.42, 0.68)
    reddish = pick(rng, (0.0, 0.0, 0.05, 0.12))
    middle = ((0.0, 0.14, 3.0, 5.0), (0.0, 0.14, 1.5, 2.5), (0.16, 0.12, 1.0, 0.0), (0.0, 0.16, 1.0, 0.0))
    lines = [pick(rng, middle)]
    if half > 5:
        lines.append((half / 2, 0.13, 3.0, 4.5))
    if rng.random() < 0.6:
        lines.append((half - 0.35, 0.12, 1.0, 0.0))
    low, high = (-half, 4, 0.3, 0.5, -0.3), (half, 25, 1.2, 4, 0.15)
    return Ground(
        asphalt=rgb(tone + warmth, tone, tone - warmth),
        paving=rgb(pale + reddish, pale, pale - reddish * 0.9),
        kerb=grey(rng.uniform(0.6, 0.75)),
        marking=rgb(0.92, 0.76, 0.28) if rng.random() < 0.25 else grey(0.93),
        lines=tuple(lines),
        crossing=rng.uniform(7, 22) if rng.random() < 0.45 else None,
        slab=pick(rng, (0.6, 1.0, 1.5)),
        patches=tuple(tuple(rng.uniform(low, high).tolist()) for _ in range(rng.integers(0, 4))),
        phase=rng.uniform(0, noise.SIDE),
    )


def stripe(t: Plane, low: float, high: float, footprint: Plane | float) -> Plane:
    """Return how much of a pixel `footprint` wide around t lies between low and high, 0 … 1."""
    depth = np.minimum(t - low, high - t) / footprint
    return share(depth)


def part(t: Plane) -> Plane:
    """Return the fractional part, much faster than `np.mod`."""
    return t - np.floor(t)


@dataclass(frozen=True)
class Floor:
    """Where on the ground the pixels of an area look.

    Attributes:
        x: Metres right of the road's middle, (h, w).
        z: Depth in metres, (h, 1).
        across, along: Metres that a pixel covers, (h, 1) each.
        grain, stain: Fine and coarse noise, (h, w).
    """

    area: Area
    x: Plane
    z: Plane
    across: Plane
    along: Plane
    grain: Plane
    stain: Plane

    def top(self, count: int) -> "Floor":
        """Return the first rows only."""
        start = self.area.rows.start
        area = self.area._replace(rows=slice(start, start + count), y=self.area.y[:count])
        return Floor(area, *(a[:count] for a in (self.x, self.z, self.across, self.along, self.grain, self.stain)))


def paint_ground(view: View, ground: Ground, shadows: Sequence[Shadow]) -> None:
    """Paint everything below the horizon, first the road from edge to edge, then both pavements."""
    area = view.canvas.area(0, view.horizon, view.canvas.width, view.canvas.height)
    if area is None:
        return
    half = view.street.half
    floor = _floor(view, ground, area)
    light = _light(view, floor, shadows)
    below = np.clip(area.y - view.horizon + 0.5, 0, 1)
    _lay(view, floor, _asphalt(ground, floor, half), light, np.broadcast_to(below, floor.x.shape), ROAD)
    pavement = floor.top(int(np.count_nonzero(np.abs(floor.x[:, [0, -1]]).max(axis=1) > half - floor.across[:, 0])))
    if pavement.area.y.size:
        count = pavement.area.y.size
        walk = np.clip((np.abs(pavement.x) - half) / pavement.across + 0.5, 0, 1)
        _lay(view, pavement, _paving(ground, pavement, half), light[:, :count], walk * below[:count], PAVEMENT)


def _floor(view: View, ground: Ground, area: Area) -> Floor:
    z = view.focal * view.eye_y / np.maximum(area.y - view.horizon, 0.25)
    across = z / view.focal
    x = (area.x - view.centre) * across + view.eye_x
    grain = noise.sample(0.5, x * 31 + ground.phase, z * 31)
    grain /= 1 + 30 * across
    stain = noise.sample(1.2, x * 7 + 90, z * 2 + ground.phase)
    stain /= 1 + 4 * across
    return Floor(area, x, z, across, z * across / view.eye_y, grain, stain)


def _lay(view: View, floor: Floor, albedo: Colour, light: Colour, coverage: Plane, index: int) -> None:
    """Light a material, used up, and lay it behind the haze."""
    albedo *= light
    clear = 1 - view.haze(floor.z)
    albedo *= clear
    albedo += view.haze_colour * (1 - clear)
    view.canvas.blend(floor.area, coverage, albedo, index)


def _light(view: View, floor: Floor, shadows: Sequence[Shadow]) -> Colour:
    """Return the light (3, h, w) that reaches the ground."""
    sun = np.ones_like(floor.x)
    if view.light.mood != "overcast":
        sun *= view.street.sunlit(view.light, floor.x, np.zeros_like(floor.z), floor.z)
    sky = np.clip(0.62 + 0.16 * (view.street.front - np.abs(floor.x)), 0.62, 1)
    for shadow in shadows:
        reach = _reach(view, floor, shadow)
        if reach is None:
            continue
        x, z, across = floor.x[reach], floor.z[reach[0]], floor.across[reach[0]]
        depth = capsule_depth(shadow.start, shadow.end, shadow.radius, shadow.radius, x, z)
        shade = np.clip(depth / (shadow.softness + 1.5 * across) + 0.5, 0, 1) * shadow.depth
        if shadow.leafy:
            shade *= np.clip(0.82 + 0.5 * floor.grain[reach], 0, 1)
        sun[reach] = np.minimum(sun[reach], 1 - shade)
        if shadow.contact:
            sky[reach] *= 1 - 0.75 * shade
    return view.light.sunlight * view.light.sun[1] * sun + view.light.ambient * sky


def _reach(view: View, floor: Floor, shadow: Shadow) -> tuple[slice, slice] | None:
    """Return the pixels of a floor that a shadow can touch."""
    margin = shadow.radius + shadow.softness
    (x0, z0), (x1, z1) = shadow.start, shadow.end
    near, far = max(min(z0, z1) - margin, 0.5), max(z0, z1) + margin
    if far <= near or shadow.radius * view.scale(near) < FAINTEST:
        return None
    corners = [view.project(x, 0, z) for x in (min(x0, x1) - margin, max(x0, x1) + margin) for z in (near, far)]
    area = view.canvas.area(min(c[0] for c in corners), corners[1][1], max(c[0] for c in corners), corners[0][1])
    if area is None:
        return None
    top = floor.area.rows.start
    return slice(max(area.rows.start - top, 0), max(area.rows.stop - top, 0)), area.columns


def _asphalt(ground: Ground, floor: Floor, half: float) -> Colour:
    """Return the albedo (3, h, w) of the road with its repairs and markings."""
    distance, across = np.abs(floor.x), floor.across
    lane = half / 2 if half > 5 else half
    wheel = np.abs(part(distance / lane) - 0.5) * (lane / 0.6)
    tone = 1 + 0.20 * floor.grain + 0.08 * floor.stain - 0.12 * stripe(wheel, 0.75, 1.6, 1.0)
    for x, z, width, length, change in ground.patches:
        inside = stripe(floor.x, x - width, x + width, across)
        tone += inside * (stripe(floor.z, z - length, z + length, floor.along) * change)
    paint = np.zeros_like(floor.x)
    for centre, width, dash, gap in ground.lines:
        line = np.clip((width / 2 - np.abs(distance - centre)) / across + 0.5, 0, np.minimum(width / across, 1))
        if gap:
            line *= stripe(part(floor.z / (dash + gap)) * (dash + gap), 0, dash, floor.along)
        np.maximum(paint, line, out=paint)
    if ground.crossing is not None:
        zebra = stripe(floor.z, ground.crossing, ground.crossing + 3, floor.along)
        rows = np.flatnonzero(zebra)
        bars = np.clip((0.25 - np.abs(part(floor.x[rows]) - 0.5)) / across[rows] + 0.5, 0, 1)
        paint[rows] += zebra[rows] * (distance[rows] < half - 0.3) * (bars - paint[rows])
    paint *= np.clip(0.82 + 0.22 * floor.grain + 0.12 * floor.stain, 0, 1)
    albedo = ground.asphalt * tone
    albedo += paint * (ground.marking - albedo)
    return albedo


def _paving(ground: Ground, floor: Floor, half: float) -> Colour:
    """Return the albedo (3, h, w) of the pavement: slabs with joints behind a kerb with a shaded face."""
    distance, slab = np.abs(floor.x), ground.slab
    column, row = np.floor(distance / slab), np.floor(floor.z / slab)
    shade = part(column * 0.618 + row * 0.377 + column * part(row * 0.29))
    across = np.abs(distance / slab - column - 0.5) * slab
    along = np.abs(floor.z / slab - row - 0.5) * slab
    edge = slab / 2 - 0.02
    joints = np.clip((across - edge) / floor.across + 0.5, 0, 1) / (1 + 15 * floor.across)
    joints = np.maximum(joints, np.clip((along - edge) / floor.along + 0.5, 0, 1) / (1 + 5 * floor.along))
    tone = 1 + 0.10 * floor.grain + 0.09 * floor.stain + (0.16 * shade - 0.08) / (1 + 8 * floor.across) - 0.35 * joints
    albedo = ground.paving * tone
    kerb = np.clip((half + 0.32 - distance) / floor.across + 0.5, 0, 1)
    face = np.clip((half + 0.12 - distance) / floor.across + 0.5, 0, 1)
    albedo += kerb * (ground.kerb * ((1 + 0.08 * floor.grain) * (1 - 0.6 * face)) - albedo)
    return albedo
