"""Trees: a trunk with branches below a crown of clumps whose edge and leaves come from noise."""

import math
from dataclasses import dataclass

import numpy as np

from offstride.data.drawn import noise
from offstride.data.drawn.canvas import Area
from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour, hsv, rgb
from offstride.data.drawn.noise import Plane
from offstride.data.drawn.streets.ground import Shadow, cast
from offstride.data.drawn.streets.kinds import TREE
from offstride.data.drawn.streets.light import Light
from offstride.data.drawn.streets.view import View

Clump = tuple[float, float, float]
Foliage = tuple[float, float, float]


@dataclass(frozen=True)
class Tree:
    """One tree at (x, z); lengths in metres.

    Attributes:
        stem: Height at which the crown begins.
        radius: Half the width of the crown.
        tall: Height of the crown over its width.
        trunk: Radius of the trunk.
        clumps: Parts of the crown, (right, up, radius), in units in which the crown reaches from -1 to 1.
        ragged: How deep the noise bites into the crown's edge.
        phase: Offset into the noise, texels.
    """

    x: float
    z: float
    stem: float
    radius: float
    tall: float
    trunk: float
    clumps: tuple[Clump, ...]
    leaf: Colour
    bark: Colour
    ragged: float
    phase: float

    @property
    def middle(self) -> float:
        """Height of the crown's centre."""
        return self.stem + self.radius * self.tall

    def shadows(self, light: Light) -> list[Shadow]:
        """Return the shade of trunk and crown."""
        spread = self.radius * max(self.tall - 1, 0)
        crown = cast(light, self.x, self.z, self.middle - spread, self.middle + spread, self.radius * 0.85, leafy=True)
        foot = Shadow((self.x, self.z), (self.x, self.z), self.trunk * 2.5, softness=0.5, depth=0.6, contact=True)
        return [*cast(light, self.x, self.z, 0, self.stem + 1, self.trunk), *crown, foot]

    def paint(self, view: View) -> None:
        """Paint the trunk, then the crown."""
        sunlit = view.sunlit(self.x, self.middle, self.z)
        _paint_trunk(view, self, sunlit)
        _paint_crown(view, self, sunlit)


def draw_foliage(rng: np.random.Generator) -> Foliage:
    """Draw the leaves of a scene as hue, saturation and value: green, at times autumn."""
    if rng.random() < 0.78:
        return rng.uniform(0.19, 0.34), rng.uniform(0.30, 0.52), rng.uniform(0.36, 0.50)
    return rng.uniform(0.03, 0.13), rng.uniform(0.5, 0.75), rng.uniform(0.5, 0.7)


def draw_tree(rng: np.random.Generator, x: float, z: float, foliage: Foliage, size: float = 1.0) -> Tree:
    """Draw a round, a slender or a conical tree."""
    hue, saturation, value = (part * rng.uniform(0.88, 1.12) for part in foliage)
    draw_clumps, stem, tall, ragged = pick(
        rng,
        ((_round, 1.0, (0.85, 1.25), 1.0), (_slender, 0.75, (1.5, 2.1), 0.6), (_cone, 0.5, (1.3, 1.8), 0.5)),
        (0.65, 0.2, 0.15),
    )
    return Tree(
        x=x,
        z=z,
        stem=rng.uniform(1.8, 2.7) * size * stem,
        radius=rng.uniform(1.6, 2.7) * size,
        tall=rng.uniform(*tall),
        trunk=rng.uniform(0.11, 0.22) * size,
        clumps=draw_clumps(rng),
        leaf=hsv(hue, saturation, value),
        bark=rgb(0.36, 0.29, 0.23, rng.uniform(0.75, 1.3)),
        ragged=rng.uniform(0.16, 0.32) * ragged,
        phase=rng.uniform(0, noise.SIDE),
    )


def _round(rng: np.random.Generator) -> tuple[Clump, ...]:
    turn = rng.uniform(0, math.tau)
    outer = []
    for i in range(6):
        angle, reach = turn + i * math.tau / 6, rng.uniform(0.38, 0.62)
        outer.append((reach * math.cos(angle), reach * math.sin(angle), rng.uniform(0.34, 0.5)))
    return (0.0, 0.0, 0.62), *outer


def _slender(rng: np.random.Generator) -> tuple[Clump, ...]:
    stack = ((-0.6, 0.38), (-0.3, 0.48), (0.05, 0.5), (0.4, 0.42), (0.66, 0.3))
    return tuple((rng.uniform(-0.15, 0.15), up, radius) for up, radius in stack)


def _cone(rng: np.random.Generator) -> tuple[Clump, ...]:
    stack = ((-0.48, 0.58), (-0.2, 0.5), (0.1, 0.42), (0.38, 0.32), (0.62, 0.22))
    return tuple((rng.uniform(-0.06, 0.06), up, radius) for up, radius in stack)


def _paint_trunk(view: View, tree: Tree, sunlit: float) -> None:
    size, canvas = view.scale(tree.z), view.canvas
    x, foot = view.project(tree.x, 0, tree.z)
    fork, half = foot - tree.stem * size, max(tree.trunk * size, 0.6)
    top = fork - 0.5 * tree.radius * size
    sun_x, sun_y, _ = view.light.sun
    bark = view.lit(tree.bark, 0.6 - 0.45 * sun_y, tree.z, sunlit, 0.9)

    def texture(area: Area) -> Colour:
        rounding = 1 + 0.45 * sun_x * np.clip((area.x - x) / half, -1, 1)
        grain = noise.sample(0.9, (area.x - x) * (40 / size) + tree.phase, (area.y - foot) * (7 / size))
        return bark * (rounding * (1 + 0.22 / (1 + 6 / size) * grain))

    stem = [(x - half, foot), (x - 0.55 * half, top), (x + 0.55 * half, top), (x + half, foot)]
    canvas.polygon(stem, texture if half > 1 else bark, TREE)
    if size < 10:
        return
    wide, slim, root = 1.5 * half, 0.9 * half, foot - 0.35 * size
    canvas.polygon([(x - wide, foot), (x - slim, root), (x + slim, root), (x + wide, foot)], texture, TREE)
    for reach in (-0.3, 0.26):
        end = (x + reach * tree.radius * size, top)
        canvas.capsule((x, fork + 0.1 * size), end, 0.5 * half, bark, TREE, tip=0.3 * half)


def _paint_crown(view: View, tree: Tree, sunlit: float) -> None:
    size = view.scale(tree.z)
    wide, high = tree.radius * size, tree.radius * tree.tall * size
    x, y = view.project(tree.x, tree.middle, tree.z)
    area = view.canvas.area(x - 1.3 * wide, y - 1.3 * high, x + 1.3 * wide, y + 1.3 * high)
    if area is None:
        return
    across, up = (area.x - x) / size, (y - area.y) / size
    edge = noise.sample(1.1, across * 7 + tree.phase, up * 7)
    leaves = _leaves(across, up + tree.phase, size) if size > 7 else edge
    p, q = across / tree.radius + 0.07 * edge, up / (tree.radius * tree.tall) - 0.07 * edge
    depth, bright = _clumps(view.light, tree.clumps, p, q)
    bright += 0.17 * leaves + 0.08 * edge
    sun = np.clip(bright, 0.02, 1.4) * (0.75 * sunlit)
    shade = np.clip(0.48 + 0.20 * q + 0.17 * leaves + 0.25 * bright, 0.10, 1.15)
    colour = tree.leaf * (view.light.sunlight * sun + view.light.ambient * shade)
    clear = math.exp(-tree.z / view.light.haze)
    colour = colour * clear + view.haze_colour * (1 - clear)
    coverage = np.clip((depth + tree.ragged * edge) * (0.45 * wide) + 0.5, 0, 1)
    view.canvas.blend(area, coverage, colour, TREE)


def _leaves(across: Plane, up: Plane, size: float) -> Plane:
    """Return the light and dark (h, w) of the leaves, finer where a metre has more pixels, `size`."""
    leaves = noise.sample(0.6, across * 16, up * 16)
    if size > 22:
        leaves += 0.8 * noise.sample(0.6, across * 37 + 50, up * 37)
    if size > 80:
        leaves += 0.6 * noise.sample(0.6, across * 90 + 20, up * 90)
    return leaves


def _clumps(light: Light, clumps: tuple[Clump, ...], p: Plane, q: Plane) -> tuple[Plane, Plane]:
    """Return the depth inside the union of the clumps and the light on the one in front, (h, w) each."""
    sun_x, sun_y, sun_z = light.sun
    depth, bright = np.full_like(p, -np.inf), np.zeros_like(p)
    for right, up, radius in clumps:
        dx, dy = (p - right) / radius, (q - up) / radius
        inside = (1 - dx * dx - dy * dy) * radius
        front = inside > depth
        np.copyto(bright, (0.42 - 0.28 * sun_z) + (0.5 * sun_x) * dx + (0.5 * sun_y) * dy, where=front)
        np.copyto(depth, inside, where=front)
    return depth, bright
