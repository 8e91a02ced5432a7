"""Trees: a trunk with branches below a crown of clumps whose edge and leaves come from noise."""

import colorsys
from dataclasses import dataclass

import numpy as np

from offstride.data.streets import noise
from offstride.data.streets.canvas import Area, Colour
from offstride.data.streets.ground import Shadow, cast
from offstride.data.streets.kinds import TREE
from offstride.data.streets.light import Light, rgb
from offstride.data.streets.view import View


@dataclass(frozen=True)
class Tree:
    """One tree at (x, z); lengths in metres.

    Attributes:
        stem: Height at which the crown begins.
        clumps: (n, 3) centres and radii of the crown's parts in units of `radius`, (right, up, radius); the crown is 2 high.
        tall: Stretch of the crown upwards.
        ragged: How deep the noise bites into the crown's edge.
    """

    x: float
    z: float
    stem: float
    radius: float
    tall: float
    trunk: float
    clumps: tuple[tuple[float, float, float], ...]
    leaf: Colour
    bark: Colour
    ragged: float
    phase: float

    @property
    def middle(self) -> float:
        """Height of the crown's centre."""
        return self.stem + self.radius * self.tall * 0.85

    def shadows(self, light: Light) -> list[Shadow]:
        """Return the shade of trunk and crown."""
        spread = self.radius * max(self.tall - 1, 0)
        crown = cast(light, self.x, self.z, self.middle - spread, self.middle + spread, self.radius * 0.85, leafy=True)
        foot = Shadow((self.x, self.z), (self.x, self.z), self.trunk * 2.5, softness=0.5, depth=0.6, contact=True)
        return [*cast(light, self.x, self.z, 0, self.stem + 1, self.trunk), *crown, foot]


def draw_foliage(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw the season of a scene as hue, saturation and value: mostly greens, at times autumn or blossom."""
    if rng.random() < 0.78:
        return rng.uniform(0.20, 0.36), rng.uniform(0.35, 0.62), rng.uniform(0.36, 0.55)
    return (rng.uniform(0.03, 0.13), rng.uniform(0.5, 0.75), rng.uniform(0.5, 0.7))


def draw_tree(rng: np.random.Generator, x: float, z: float, foliage: tuple[float, float, float], scale: float = 1.0) -> Tree:
    """Draw a tree of a random shape: round, slender or conical."""
    hue, saturation, value = np.array(foliage) * rng.uniform(0.88, 1.12, 3)
    shape = rng.choice(3, p=(0.65, 0.2, 0.15))
    if shape == 0:
        angles = rng.uniform(0, 2 * np.pi) + np.arange(6) * 2 * np.pi / 6
        reach = rng.uniform(0.38, 0.62, 6)
        outer = [(float(r * np.cos(a)), float(r * np.sin(a)), float(rng.uniform(0.34, 0.5))) for a, r in zip(angles, reach, strict=True)]
        clumps = ((0.0, 0.0, 0.62), *outer)
    elif shape == 1:
        clumps = tuple((float(rng.uniform(-0.15, 0.15)), up, width) for up, width in ((-0.62, 0.36), (-0.25, 0.48), (0.15, 0.46), (0.5, 0.36), (0.8, 0.2)))
    else:
        clumps = tuple((float(rng.uniform(-0.06, 0.06)), up, width) for up, width in ((-0.6, 0.62), (-0.2, 0.5), (0.15, 0.36), (0.45, 0.25), (0.7, 0.15)))
    return Tree(
        x=x,
        z=z,
        stem=float(rng.uniform(1.7, 2.9)) * scale * (1.0, 0.7, 0.4)[shape],
        radius=float(rng.uniform(1.6, 2.7)) * scale,
        tall=(float(rng.uniform(0.85, 1.25)), float(rng.uniform(1.5, 2.1)), float(rng.uniform(1.3, 1.8)))[shape],
        trunk=float(rng.uniform(0.11, 0.22)) * scale,
        clumps=clumps,
        leaf=rgb(*colorsys.hsv_to_rgb(hue % 1, min(saturation, 1), min(value, 1))),
        bark=rgb(*(np.array([0.36, 0.29, 0.23]) * rng.uniform(0.75, 1.3))),
        ragged=float(rng.uniform(0.16, 0.32)),
        phase=float(rng.uniform(0, noise.SIDE)),
    )


def paint_tree(view: View, tree: Tree, sunlit: float) -> None:
    """Paint a tree; `sunlit` is the share of the sun that reaches its crown."""
    _paint_trunk(view, tree, sunlit)
    _paint_crown(view, tree, sunlit)


def _paint_trunk(view: View, tree: Tree, sunlit: float) -> None:
    size = view.scale(tree.z)
    x, foot = view.project(tree.x, 0, tree.z)
    fork, half = foot - tree.stem * size, max(tree.trunk * size, 0.6)
    side = view.light.sun[0]
    bark = view.lit(tree.bark, 0.45 * (1 - view.light.sun[1]) + 0.15, tree.z, sunlit, 0.9)

    def texture(area: Area) -> Colour:
        round_shade = 1 + 0.45 * side * np.clip((area.x - x) / half, -1, 1)
        grain = noise.sample(0.9, (area.x - x) * (40 / size) + tree.phase, area.y * (7 / size))
        return bark * (round_shade * (1 + 0.22 * grain / (1 + 6 / size)))

    top = fork - 0.5 * tree.radius * size
    trunk = [(x - 1.35 * half, foot), (x - half, foot - 0.4 * size), (x - 0.6 * half, top), (x + 0.6 * half, top), (x + half, foot - 0.4 * size), (x + 1.35 * half, foot)]
    view.canvas.polygon(trunk, texture, TREE)
    for reach in (-0.45, 0.4) if size > 6 else ():
        end = (x + reach * tree.radius * size, fork - 0.6 * tree.radius * size)
        view.canvas.capsule((x, fork + 0.2 * size), end, 0.55 * half, bark, TREE, tip=0.3 * half)


def _paint_crown(view: View, tree: Tree, sunlit: float) -> None:
    wide = tree.radius * view.scale(tree.z)
    high = wide * tree.tall
    x, y = view.project(tree.x, tree.middle, tree.z)
    area = view.canvas.area(x - 1.15 * wide, y - 1.15 * high, x + 1.15 * wide, y + 1.15 * high)
    if area is None:
        return
    p, q = (area.x - x) / wide, (y - area.y) / high
    depth, light = _clumps(view, tree, p, q)
    metres = wide / tree.radius
    across, up = (area.x - x) / metres, (y - area.y) / metres
    edge = noise.sample(1.1, across * 7 + tree.phase, up * 7)
    depth += tree.ragged * edge
    coverage = np.clip(depth * (0.45 * wide) + 0.5, 0, 1)
    leaves = noise.sample(0.7, across * 15, up * 15 + tree.phase) if metres > 3 else edge
    light += 0.16 * leaves + 0.10 * edge
    sun = np.clip(light, 0.02, 1.3)
    shade = np.clip(0.50 + 0.22 * q + 0.20 * leaves + 0.2 * light, 0.12, 1.1)
    tree_light = view.light.sunlight * (sun * (0.75 * sunlit)) + view.light.ambient * shade
    colour = tree.leaf * tree_light
    colour += view.haze(np.float32(tree.z)) * (view.haze_colour - colour)
    view.canvas.blend(area, coverage, colour, TREE)


def _clumps(view: View, tree: Tree, p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the depth inside the union of the clumps and the light on the clump in front, (h, w) each."""
    sun_x, sun_y, sun_z = view.light.sun
    depth = light = None
    for right, up, radius in tree.clumps:
        dx, dy = (p - right) / radius, (q - up) / radius
        inside = (1 - dx * dx - dy * dy) * radius
        lit = (0.42 - 0.28 * sun_z) + (0.5 * sun_x) * dx + (0.5 * sun_y) * dy
        if depth is None or light is None:
            depth, light = inside, lit
        else:
            front = inside > depth
            np.copyto(light, lit, where=front)
            np.copyto(depth, inside, where=front)
    assert depth is not None and light is not None
    return depth, light
