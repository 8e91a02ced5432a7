"""A scene: everything in a street, drawn at random, and its painting from far to near."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from offstride.data.drawn.canvas import Canvas
from offstride.data.drawn.chance import pick
from offstride.data.drawn.noise import Plane
from offstride.data.drawn.streets.buildings import Building, draw_building, paint_street_end
from offstride.data.drawn.streets.cars import Car, draw_car
from offstride.data.drawn.streets.facades import STYLES, Style
from offstride.data.drawn.streets.ground import Ground, draw_ground, paint_ground
from offstride.data.drawn.streets.light import Light, draw_light
from offstride.data.drawn.streets.people import Person, draw_person
from offstride.data.drawn.streets.posts import Post, draw_lamp, draw_lamp_style, draw_sign_post, draw_traffic_light
from offstride.data.drawn.streets.sky import Sky, draw_sky, paint_far_roofs, paint_sky
from offstride.data.drawn.streets.trees import Foliage, Tree, draw_foliage, draw_tree
from offstride.data.drawn.streets.view import Camera, Street, View

SIDES = (-1, 1)


@dataclass(frozen=True)
class Scene:
    """A street before it is painted; it has no size in pixels.

    Attributes:
        closing: The building across the end of the street, if any.
        rows: The buildings on both sides and the trees between them, from far to near.
        things: What stands and moves before the buildings, from far to near.
    """

    light: Light
    camera: Camera
    street: Street
    sky: Sky
    ground: Ground
    closing: Building | None
    rows: tuple[Building | Tree, ...]
    things: tuple[Tree | Car | Person | Post, ...]


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw a street with its light, its buildings, and everything that stands or moves in it."""
    light, style = draw_light(rng), pick(rng, STYLES, (0.35, 0.4, 0.25))
    half = rng.uniform(3.6, 4.6) if rng.random() < 0.5 else rng.uniform(5.4, 6.8)
    walk, end = rng.uniform(2.8, 4.6) + (1.2 if style == "suburb" else 0), rng.uniform(60, 110)
    buildings = _draw_buildings(rng, style, end)
    street = Street(half, walk, end, _eaves(buildings, end))
    drive = pick(rng, SIDES, (0.4, 0.6))
    camera = _draw_camera(rng, street, drive)
    ground, foliage = draw_ground(rng, half), draw_foliage(rng)
    things = [
        *_draw_traffic(rng, street, camera, light, drive),
        *_draw_trees(rng, street, camera, foliage),
        *_draw_lamps(rng, street, camera, light),
        *_draw_signs(rng, street, camera, ground),
        *_draw_people(rng, street, camera, ground),
    ]
    rows = [*buildings, *_draw_gardens(rng, street, buildings, foliage)]
    closing = draw_building(rng, style, 1, end, end + 12) if rng.random() < 0.55 else None
    rows, things = (sorted(items, key=lambda item: -item.z) for items in (rows, things))
    return Scene(light, camera, street, draw_sky(rng), ground, closing, tuple(rows), tuple(things))


def paint_scene(scene: Scene, canvas: Canvas) -> None:
    """Paint a scene onto a canvas, from far to near."""
    view = View(scene.camera, scene.street, scene.light, canvas)
    casting = (item for item in (*scene.rows, *scene.things) if not isinstance(item, Building))
    paint_sky(view, scene.sky)
    paint_ground(view, scene.ground, [shadow for item in casting for shadow in item.shadows(scene.light)])
    paint_far_roofs(view, scene.sky)
    if scene.closing:
        paint_street_end(view, scene.closing)
    for item in (*scene.rows, *scene.things):
        item.paint(view)


def _draw_camera(rng: np.random.Generator, street: Street, drive: int) -> Camera:
    """Place the camera on the side on which one drives, looking a little to the other side."""
    return Camera(
        x=drive * street.half * rng.uniform(0.2, 0.55),
        y=rng.uniform(1.45, 2.3),
        focal=rng.uniform(0.82, 1.05),
        horizon=rng.uniform(0.42, 0.54),
        centre=0.5 - 0.08 * drive + rng.uniform(-0.09, 0.09),
    )


def _draw_buildings(rng: np.random.Generator, style: Style, end: float) -> list[Building]:
    """Line both sides with buildings, wall to wall or with gaps."""
    gaps, lengths = {"suburb": (0.85, (8, 14)), "town": (0.12, (9, 22)), "city": (0.2, (9, 22))}[style]
    buildings = []
    for side in SIDES:
        z, hidden = rng.uniform(-12, -2), 0.0
        while z < end:
            building = draw_building(rng, style, side, z, min(z + rng.uniform(*lengths), end), hidden)
            buildings.append(building)
            apart = rng.random() < gaps
            z, hidden = building.far + (rng.uniform(2.5, 9) if apart else 0), 0.0 if apart else building.height
    return buildings


def _eaves(buildings: list[Building], end: float) -> Plane:
    """Return the heights that throw shadow, as `Street.eaves`; behind the camera the buildings go on."""
    depths = np.arange(Street.START, end + 60, Street.STEP)
    eaves = np.zeros((2, depths.size), np.float32)
    for building in buildings:
        inside = (depths >= building.near) & (depths <= building.far)
        eaves[SIDES.index(building.side), inside] = building.height + 0.6 * building.ridge
    eaves[:, depths < -2] = eaves.max()
    return eaves


def _draw_traffic(rng: np.random.Generator, street: Street, camera: Camera, light: Light, drive: int) -> list[Car]:
    """Park cars along the kerbs and send a few down the lanes."""
    lamps, lane, turned = light.lamps > 0, street.half * 0.29, {drive: 0.0, -drive: math.pi}
    cars = []
    for side in SIDES:
        x, share = side * (street.half - 1.15), pick(rng, (0.0, 0.35, 0.8))
        z = rng.uniform(6, 14) + max(3 - abs(x - camera.x), 0) * 3
        while z < 40:
            if rng.random() < share:
                cars.append(draw_car(rng, x, z, turned[side] + rng.normal(0, 0.02)))
            z += rng.uniform(5.6, 8)
    moving = [(drive, rng.uniform(11, 28)), (-drive, rng.uniform(9, 18)), (-drive, rng.uniform(22, 45))]
    for side, z in moving[: int(rng.integers(2, 4))]:
        cars.append(draw_car(rng, side * lane, z, turned[side] + rng.normal(0, 0.02), lamps))
    return cars


def _draw_trees(rng: np.random.Generator, street: Street, camera: Camera, foliage: Foliage) -> list[Tree]:
    """Plant trees along the kerbs, at least one."""
    trees = []
    for side in SIDES:
        x, spacing = side * (street.half + rng.uniform(0.8, 1.2)), rng.uniform(7, 14)
        z, share = camera.entry(x) * rng.uniform(1.0, 1.8), pick(rng, (0.25, 0.6, 0.95))
        while z < 50:
            if rng.random() < share:
                trees.append(draw_tree(rng, x + rng.normal(0, 0.1), z, foliage))
            z += spacing * rng.uniform(0.85, 1.15)
    if not trees:
        x = pick(rng, SIDES) * (street.half + 1)
        trees.append(draw_tree(rng, x, camera.entry(x) * 1.3, foliage))
    return trees


def _draw_gardens(rng: np.random.Generator, street: Street, buildings: list[Building], foliage: Foliage) -> list[Tree]:
    """Plant trees into the gaps between the buildings."""
    trees = []
    for front, back in itertools.pairwise(buildings):
        if back.side == front.side and back.near > max(front.far + 1, 4):
            x, z = front.side * (street.front + rng.uniform(1, 4)), rng.uniform(front.far, back.near)
            trees.append(draw_tree(rng, x, z, foliage, rng.uniform(0.8, 1.4)))
    return trees


def _draw_lamps(rng: np.random.Generator, street: Street, camera: Camera, light: Light) -> list[Post]:
    """Line one side or both with lamps."""
    style, spacing = draw_lamp_style(rng), rng.uniform(13, 22)
    lamps = []
    for side in pick(rng, ((-1,), (1,), SIDES)):
        x = side * (street.half + rng.uniform(0.35, 0.6))
        start = camera.entry(x) * 1.15 + rng.uniform(0, 5)
        lamps += [draw_lamp(rng, x, z, style, light.lamps) for z in np.arange(start, 60, spacing).tolist()]
    return lamps


def _draw_signs(rng: np.random.Generator, street: Street, camera: Camera, ground: Ground) -> list[Post]:
    """Put signs up on both sides in turn, and at times traffic lights, before the zebra crossing if there is one."""
    side, posts = pick(rng, SIDES), []
    for i in range(int(rng.integers(2, 5))):
        x = side * (-1) ** i * (street.half + rng.uniform(0.45, 0.9))
        posts.append(draw_sign_post(rng, x, camera.entry(x) * 1.15 + 5 * i + rng.exponential(4)))
    if rng.random() < 0.4:
        z = rng.uniform(8, 20) if ground.crossing is None else ground.crossing - 0.4
        phase = int(rng.integers(3))
        posts += [draw_traffic_light(rng, side * (street.half + 0.55), z, phase) for side in SIDES]
    return posts


def _draw_people(rng: np.random.Generator, street: Street, camera: Camera, ground: Ground) -> list[Person]:
    """Let people walk on the pavements, alone or in pairs, and cross the road, on the zebra if there is one."""
    people = []
    for _ in range(int(rng.integers(3, 8))):
        x = pick(rng, SIDES) * (street.half + rng.uniform(0.5, street.walk - 0.4))
        z = camera.entry(x) * 1.03 + rng.exponential(7)
        people.append(draw_person(rng, x, z))
        if rng.random() < 0.25:
            people.append(draw_person(rng, x + 0.6, z + 0.3))
    crossing, most = ground.crossing, 2 if ground.crossing is None else 4
    for _ in range(int(rng.integers(most // 4, most))):
        z = rng.uniform(10, 25) if crossing is None else crossing + rng.uniform(0.4, 2.6)
        people.append(draw_person(rng, rng.uniform(-street.half, street.half), z, across=True))
    return people
