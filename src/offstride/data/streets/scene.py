"""A scene: everything in a street, drawn at random, and its painting from far to near."""

from dataclasses import dataclass

import numpy as np

from offstride.data.streets.buildings import Building, Style, draw_building, paint_building, paint_street_end
from offstride.data.streets.canvas import Canvas
from offstride.data.streets.cars import Car, draw_car, paint_car
from offstride.data.streets.ground import Ground, draw_ground, paint_ground
from offstride.data.streets.light import Light, draw_light
from offstride.data.streets.people import Person, draw_person, paint_person
from offstride.data.streets.posts import Post, draw_lamp, draw_lamp_style, draw_sign_post, paint_post
from offstride.data.streets.sky import Sky, draw_sky, paint_far_roofs, paint_sky
from offstride.data.streets.trees import Tree, draw_foliage, draw_tree, paint_tree
from offstride.data.streets.view import Camera, Street, View

Thing = Tree | Car | Person | Post


@dataclass(frozen=True)
class Scene:
    """A street before it is painted; it has no size in pixels."""

    light: Light
    camera: Camera
    street: Street
    sky: Sky
    ground: Ground
    closing: Building | None
    buildings: tuple[Building, ...]
    gardens: tuple[Tree, ...]
    things: tuple[Thing, ...]


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw a street with its light, its houses, and everything that stands or moves in it."""
    light = draw_light(rng)
    style: Style = ("suburb", "town", "city")[rng.choice(3, p=(0.35, 0.4, 0.25))]
    half = rng.uniform(3.6, 4.6) if rng.random() < 0.5 else rng.uniform(5.4, 6.8)
    walk = rng.uniform(2.8, 4.6) + (1.2 if style == "suburb" else 0)
    end = rng.uniform(60, 110)
    buildings = _draw_buildings(rng, style, end)
    street = Street(half, walk, end, _skyline(buildings, end))
    drive = 1 if rng.random() < 0.6 else -1
    camera = Camera(
        x=float(drive * half * rng.uniform(0.2, 0.55)),
        y=float(rng.uniform(1.45, 2.3)),
        focal=float(rng.uniform(0.82, 1.05)),
        horizon=float(rng.uniform(0.42, 0.54)),
        centre=float(0.5 - 0.08 * drive + rng.uniform(-0.09, 0.09)),
    )
    ground = draw_ground(rng, half)
    foliage = draw_foliage(rng)
    things = [
        *_draw_traffic(rng, street, light, drive),
        *_draw_trees(rng, street, camera, foliage),
        *_draw_posts(rng, street, camera, light),
        *_draw_people(rng, street, camera, ground),
    ]
    closing = draw_building(rng, style, 1, end, end + 12) if rng.random() < 0.55 else None
    things.sort(key=lambda thing: -thing.z)
    gardens = _draw_gardens(rng, street, buildings, foliage)
    return Scene(light, camera, street, draw_sky(rng), ground, closing, tuple(buildings), tuple(gardens), tuple(things))


def _draw_buildings(rng: np.random.Generator, style: Style, end: float) -> list[Building]:
    gap = {"suburb": 0.85, "town": 0.12, "city": 0.2}[style]
    buildings = []
    for side in (-1, 1):
        z = rng.uniform(-12, -2)
        while z < end:
            length = rng.uniform(8, 14) if style == "suburb" else rng.uniform(9, 22)
            buildings.append(draw_building(rng, style, side, z, min(z + length, end)))
            z += length + (rng.uniform(2.5, 9) if rng.random() < gap else 0)
    return sorted(buildings, key=lambda building: -building.near)


def _skyline(buildings: list[Building], end: float) -> np.ndarray:
    depths = np.arange(Street.START, end + 60, Street.STEP)
    eaves = np.zeros((2, depths.size), np.float32)
    for building in buildings:
        eaves[(building.side + 1) // 2, (depths >= building.near) & (depths <= building.far)] = building.height + building.ridge * 0.6
    eaves[:, depths < -2] = eaves.max()
    return eaves


def _draw_traffic(rng: np.random.Generator, street: Street, light: Light, drive: int) -> list[Car]:
    """Park cars along the kerbs and send a few down the lanes."""
    lamps = light.lamps > 0
    cars = []
    for side in (-1, 1):
        z, share = rng.uniform(5, 14), rng.choice([0.0, 0.35, 0.8])
        while z < 48:
            if rng.random() < share:
                yaw = (0.0 if side == drive else np.pi) + rng.normal(0, 0.02)
                cars.append(draw_car(rng, float(side * (street.half - 1.15)), float(z), float(yaw)))
            z += rng.uniform(5.6, 8)
    lane = street.half * (0.28 if street.half > 5 else 0.3)
    cars.append(draw_car(rng, float(drive * lane), float(rng.uniform(11, 28)), float(rng.normal(0, 0.02)), lamps))
    for start in (rng.uniform(9, 18), rng.uniform(22, 45))[: rng.integers(1, 3)]:
        cars.append(draw_car(rng, float(-drive * lane), float(start), float(np.pi + rng.normal(0, 0.02)), lamps))
    return cars


def _in_view(camera: Camera, x: float) -> float:
    """Return the depth from which on x is inside a 4:3 image."""
    side = 1 - camera.centre if x > camera.x else camera.centre
    return abs(x - camera.x) * camera.focal * 0.75**0.5 / side


def _draw_trees(rng: np.random.Generator, street: Street, camera: Camera, foliage: tuple[float, float, float]) -> list[Tree]:
    trees = []
    for side in (-1, 1):
        x, spacing, share = side * (street.half + rng.uniform(0.8, 1.2)), rng.uniform(7, 14), rng.choice([0.25, 0.6, 0.95])
        z = _in_view(camera, x) * rng.uniform(0.8, 1.5)
        while z < street.end * 0.8:
            if rng.random() < share:
                trees.append(draw_tree(rng, float(x + rng.normal(0, 0.1)), float(z), foliage))
            z += spacing * rng.uniform(0.85, 1.15)
    if not trees:
        trees.append(draw_tree(rng, float(street.half + 1), float(_in_view(camera, street.half + 1) * 1.3), foliage))
    return trees


def _draw_gardens(rng: np.random.Generator, street: Street, buildings: list[Building], foliage: tuple[float, float, float]) -> list[Tree]:
    """Plant trees into the gaps between the buildings."""
    trees = []
    for side in (-1, 1):
        row = sorted((b for b in buildings if b.side == side), key=lambda b: b.near)
        for front, back in zip(row, row[1:], strict=False):
            if back.near - front.far > 1 and back.near > 4:
                x, z = side * (street.front + rng.uniform(1, 4)), rng.uniform(front.far, back.near)
                trees.append(draw_tree(rng, float(x), float(z), foliage, scale=float(rng.uniform(0.8, 1.4))))
    return trees


def _draw_posts(rng: np.random.Generator, street: Street, camera: Camera, light: Light) -> list[Post]:
    style, spacing = draw_lamp_style(rng), rng.uniform(13, 22)
    sides = [(-1,), (1,), (-1, 1)][rng.integers(3)]
    posts = []
    for side in sides:
        x = side * (street.half + rng.uniform(0.35, 0.6))
        z = _in_view(camera, x) * 1.02 + rng.uniform(0, 4)
        while z < street.end:
            posts.append(draw_lamp(rng, float(x), float(z), style, light.lamps))
            z += spacing
    for _ in range(rng.integers(2, 5)):
        x = rng.choice([-1, 1]) * (street.half + rng.uniform(0.45, 0.9))
        posts.append(draw_sign_post(rng, float(x), float(_in_view(camera, x) * 1.03 + rng.exponential(6))))
    return posts


def _draw_people(rng: np.random.Generator, street: Street, camera: Camera, ground: Ground) -> list[Person]:
    people = []
    for _ in range(rng.integers(3, 9)):
        x = rng.choice([-1, 1]) * (street.half + rng.uniform(0.5, street.walk - 0.4))
        z = _in_view(camera, x) * 1.03 + rng.exponential(7)
        people.append(draw_person(rng, float(x), float(z)))
        if rng.random() < 0.25:
            people.append(draw_person(rng, float(x + 0.6), float(z + 0.3)))
    for _ in range(rng.integers(1, 4) if ground.crossing is not None else rng.integers(0, 2)):
        z = ground.crossing + rng.uniform(0.4, 2.6) if ground.crossing is not None else rng.uniform(10, 25)
        people.append(draw_person(rng, float(rng.uniform(-street.half, street.half)), float(z), across=True))
    return people


def paint_scene(scene: Scene, canvas: Canvas) -> None:
    """Paint a scene onto a canvas, from far to near."""
    view = View(scene.camera, scene.street, scene.light, canvas)
    shadows = [shadow for thing in (*scene.things, *scene.gardens) for shadow in thing.shadows(scene.light)]
    paint_sky(view, scene.sky)
    paint_far_roofs(view, scene.sky)
    paint_ground(view, scene.ground, shadows)
    if scene.closing:
        paint_street_end(view, scene.closing)
    behind = sorted((*scene.buildings, *scene.gardens), key=lambda item: -(item.near if isinstance(item, Building) else item.z))
    for item in behind:
        if isinstance(item, Building):
            paint_building(view, item)
        else:
            paint_tree(view, item, 0.6)
    for thing in scene.things:
        _paint_thing(view, thing)


def _paint_thing(view: View, thing: Thing) -> None:
    """Paint one thing of the street in the sun or shade where it stands."""
    height = thing.middle if isinstance(thing, Tree) else 1.2
    at = np.float32(thing.x), np.float32(height), np.float32(thing.z)
    sunlit = float(view.street.sunlit(view.light, *at))
    match thing:
        case Tree():
            paint_tree(view, thing, sunlit)
        case Car():
            paint_car(view, thing, sunlit)
        case Person():
            paint_person(view, thing, sunlit)
        case Post():
            paint_post(view, thing, sunlit)
