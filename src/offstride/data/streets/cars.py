"""Cars: two extruded profiles, body and cabin, with glass, lights, wheels and the shade below."""

import colorsys
import math
from dataclasses import dataclass

import numpy as np

from offstride.data.streets.canvas import Colour, Point, signed_area
from offstride.data.streets.ground import Shadow
from offstride.data.streets.kinds import CAR
from offstride.data.streets.light import Light, rgb
from offstride.data.streets.view import View

Profile = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Shape:
    """A kind of car in metres: outlines seen from its right side as (along, up), the nose at positive `along`.

    Attributes:
        body: Outline from the lower rear corner over the top to the lower front corner.
        cabin: Rear foot, rear top, front top and front foot of the glasshouse.
        inset: How much narrower the roof is than the body, on each side.
        blind: Whether the rear half of the cabin has no windows.
    """

    body: Profile
    cabin: Profile
    width: float
    axles: tuple[float, float]
    wheel: float
    inset: float = 0.2
    blind: bool = False


SHAPES = (
    Shape(
        ((-2.15, 0.28), (-2.25, 0.6), (-2.15, 0.95), (0.95, 0.95), (2.05, 0.76), (2.22, 0.55), (2.15, 0.28)),
        ((-1.95, 0.93), (-1.2, 1.42), (0.1, 1.42), (1.0, 0.93)), 1.78, (-1.35, 1.35), 0.32,
    ),
    Shape(
        ((-1.9, 0.28), (-1.98, 0.6), (-1.9, 0.95), (0.9, 0.96), (1.75, 0.80), (1.95, 0.55), (1.88, 0.28)),
        ((-1.88, 0.93), (-1.55, 1.48), (0.05, 1.48), (0.95, 0.94)), 1.72, (-1.2, 1.2), 0.31,
    ),
    Shape(
        ((-2.15, 0.36), (-2.25, 0.7), (-2.2, 1.08), (1.0, 1.08), (2.05, 0.96), (2.25, 0.7), (2.15, 0.36)),
        ((-2.18, 1.06), (-1.95, 1.72), (0.2, 1.72), (1.05, 1.07)), 1.88, (-1.35, 1.38), 0.38,
    ),
    Shape(
        ((-2.5, 0.32), (-2.55, 0.7), (-2.5, 1.1), (1.6, 1.1), (2.35, 0.92), (2.5, 0.6), (2.45, 0.32)),
        ((-2.5, 1.08), (-2.45, 2.05), (1.0, 2.05), (1.65, 1.08)), 1.98, (-1.6, 1.6), 0.35, 0.1, True,
    ),
)  # fmt: skip
"""Saloon, hatchback, off-roader and van."""


@dataclass(frozen=True)
class Car:
    """One car whose middle stands at (x, z) and whose nose points `yaw` radians to the right of ahead."""

    x: float
    z: float
    yaw: float
    shape: Shape
    paint: Colour
    glass: Colour
    lamps: bool

    def place(self, along: float, up: float, right: float) -> tuple[float, float, float]:
        """Return the world position of a point of the car."""
        sine, cosine = math.sin(self.yaw), math.cos(self.yaw)
        return self.x + along * sine + right * cosine, up, self.z + along * cosine - right * sine

    def shadows(self, light: Light) -> list[Shadow]:
        """Return the shade under the car and what it throws beside itself."""
        half = self.shape.width / 2
        reach = self.shape.body[-2][0] - half
        (x0, _, z0), (x1, _, z1) = self.place(-reach, 0, 0), self.place(reach, 0, 0)
        under = Shadow((x0, z0), (x1, z1), half * 0.98, softness=0.35, contact=True)
        if light.mood == "overcast":
            return [under]
        fall = [h * min(1 / light.sun[1], 4.0) for h in (0.6, 1.25)]
        thrown = [
            Shadow(
                (x0 * a + x1 * (1 - a) - f * light.sun[0], z0 * a + z1 * (1 - a) - f * light.sun[2]),
                (x0 * (1 - b) + x1 * b - f * light.sun[0], z0 * (1 - b) + z1 * b - f * light.sun[2]),
                half * size,
                softness=0.12,
            )
            for f, a, b, size in ((fall[0], 1, 1, 0.97), (fall[1], 0.9, 0.75, 0.8))
        ]
        return [under, *thrown]


def draw_car(rng: np.random.Generator, x: float, z: float, yaw: float, lamps: bool = False) -> Car:
    """Draw a car of a random shape and paint."""
    if rng.random() < 0.55:
        paint = rgb(*[rng.choice([0.16, 0.32, 0.5, 0.72, 0.9]) * rng.uniform(0.92, 1.05)] * 3)
    else:
        hue = rng.choice([0.0, 0.02, 0.58, 0.61, 0.1, 0.15, 0.35, 0.5]) + rng.uniform(-0.02, 0.02)
        paint = rgb(*colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.45, 0.85), rng.uniform(0.4, 0.85)))
    shape = SHAPES[rng.choice(4, p=(0.32, 0.32, 0.22, 0.14))]
    return Car(x, z, yaw, shape, paint, rgb(*(np.array([0.18, 0.22, 0.26]) * rng.uniform(0.7, 1.2))), lamps)


def paint_car(view: View, car: Car, sunlit: float) -> None:
    """Paint a car; `sunlit` is the share of the sun that reaches it."""
    Painter(view, car, sunlit).paint()


class Painter:
    """Paints the faces of one car that look at the camera; faces run clockwise as seen from outside."""

    def __init__(self, view: View, car: Car, sunlit: float):
        self.view, self.car, self.shape, self.sunlit = view, car, car.shape, sunlit
        self.half = car.shape.width / 2
        self.detail = view.scale(car.z) > 5

    def paint(self) -> None:
        """Paint from the wheels to the roof: the cabin stands above the body and below the eye."""
        for side in (1, -1):
            self._wheels_from_behind(side)
        self._end(front=True)
        self._end(front=False)
        for side in (1, -1):
            self._side(side)
        self._cabin()

    def _points(self, corners: list[tuple[float, float, float]]) -> list[Point]:
        return self.view.outline([self.car.place(*corner) for corner in corners])

    def _face(self, corners: list[tuple[float, float, float]], colour: Colour, visible: bool = False) -> bool:
        """Fill a face given in car coordinates (along, up, right) when it looks at the camera; say whether it does."""
        points = self._points(corners)
        if not visible and signed_area(points) <= 0:
            return False
        if abs(points[0][0] - points[2][0]) + abs(points[0][1] - points[2][1]) < 1.2:
            return True
        self.view.canvas.polygon(points, colour, CAR)
        return True

    def _lit(self, colour: Colour, along: float, up: float, right: float, ambient: float = 1.0) -> Colour:
        """Light a surface whose normal is given in car coordinates."""
        sine, cosine = math.sin(self.car.yaw), math.cos(self.car.yaw)
        facing = self.view.light.facing(along * sine + right * cosine, up, along * cosine - right * sine)
        return self.view.lit(colour, facing, self.car.z, self.sunlit, ambient)

    def _wheels_from_behind(self, side: int) -> None:
        dark = self._lit(rgb(0.10, 0.10, 0.11), 0, 0, side, 0.6)
        inner, outer = side * (self.half - 0.22), side * self.half
        for axle in self.shape.axles:
            self._face([(axle, 0, inner), (axle, 0.45, inner), (axle, 0.45, outer), (axle, 0, outer)], dark, visible=True)

    def _side(self, side: int) -> None:
        """Paint the flank with its wheels."""
        outline = [(a, u, side * self.half) for a, u in self.shape.body]
        if side > 0:
            outline.reverse()
        outline = outline[::-1]
        if not self._face(outline, self._lit(self.car.paint, 0, 0.25, side, 0.85)):
            return
        rear, front = self.shape.body[1][0], self.shape.body[-2][0]
        sill = [(rear + 0.1, 0.3, side * self.half), (rear + 0.1, 0.42, side * self.half), (front - 0.1, 0.42, side * self.half), (front - 0.1, 0.3, side * self.half)]
        self._face(sill, self._lit(self.car.paint * 0.35, 0, 0, side, 0.6), visible=True)
        for axle in self.shape.axles:
            self._disc(axle, side, self.shape.wheel + 0.06, rgb(0.07, 0.07, 0.08))
            self._disc(axle, side, self.shape.wheel, rgb(0.15, 0.15, 0.16))
            if self.detail:
                self._disc(axle, side, self.shape.wheel * 0.62, rgb(0.55, 0.56, 0.58))
                self._disc(axle, side, self.shape.wheel * 0.2, rgb(0.2, 0.2, 0.2))
        if self.detail:
            for along in (-0.35, 0.75):
                door = [(along, 0.42, side * self.half), (along, 0.92, side * self.half), (along + 0.05, 0.92, side * self.half), (along + 0.05, 0.42, side * self.half)]
                self._face(door, self._lit(self.car.paint * 0.45, 0, 0, side), visible=True)

    def _disc(self, axle: float, side: int, radius: float, colour: Colour) -> None:
        """Fill a part of a wheel, a circle in the plane of the flank."""
        hub = (axle, self.shape.wheel, side * self.half)
        (x, y), (ax, ay), (bx, by) = self._points([hub, (axle + radius, *hub[1:]), (axle, hub[1] + radius, hub[2])])
        self.view.canvas.ellipse((x, y), (ax - x, ay - y), (bx - x, by - y), self._lit(colour, 0, 0, side, 0.8), CAR)

    def _end(self, front: bool) -> None:
        """Paint the strips of the body from one bumper over bonnet or boot, then lights and number plate."""
        strips = list(zip(self.shape.body, self.shape.body[1:], strict=False))
        middle = len(strips) // 2
        for (a0, u0), (a1, u1) in strips[middle:][::-1] if front else strips[: middle + 1]:
            size = math.hypot(a1 - a0, u1 - u0)
            normal = (-(u1 - u0) / size, (a1 - a0) / size)
            quad = [(a0, u0, self.half), (a0, u0, -self.half), (a1, u1, -self.half), (a1, u1, self.half)]
            self._face(quad, self._lit(self.car.paint, normal[0], normal[1], 0, 0.75 + 0.3 * normal[1]))
        (low_a, low_u), (a0, u0), (a1, u1) = self.shape.body[:-4:-1] if front else self.shape.body[:3]
        at = lambda share: (a0 + (a1 - a0) * share, u0 + (u1 - u0) * share)
        if not self._panel(front, (low_a, low_u), ((low_a + a0) / 2, (low_u + u0) / 2), -1, 1, self._lit(rgb(0.16, 0.16, 0.17), 0, 0, 0, 0.8)):
            return
        ending = 1 if front else -1
        lamp = (rgb(0.95, 0.95, 0.9) if front else rgb(0.72, 0.06, 0.06)) if self.detail else rgb(0.6, 0.3, 0.3)
        colour = self._lit(lamp, ending, 0, 0)
        if self.car.lamps:
            colour = colour + lamp * (1.6 if front else 0.8)
        for left, right in ((-0.97, -0.62), (0.62, 0.97)):
            self._panel(front, at(0.25), at(0.8), left, right, colour)
        if self.detail:
            self._panel(front, at(0.05), at(0.4), -0.28, 0.28, self._lit(rgb(0.9, 0.88, 0.75), ending, 0, 0))
            if front:
                self._panel(front, at(0.45), at(0.8), -0.5, 0.5, self._lit(rgb(0.12, 0.12, 0.13), ending, 0, 0))

    def _panel(self, front: bool, low: tuple[float, float], high: tuple[float, float], left: float, right: float, colour: Colour) -> bool:
        """Fill a rectangle on an end of the car; left and right are shares of its half width."""
        quad = [(*low, right * self.half), (*low, left * self.half), (*high, left * self.half), (*high, right * self.half)]
        return self._face(quad[::-1] if front else quad, colour)

    def _cabin(self) -> None:
        (r0, f0), (r1, top), (a1, _), (a0, _) = self.shape.cabin
        low, high = self.half * 0.97, self.half - self.shape.inset
        roof = [(r1, top, high), (r1, top, -high), (a1, top, -high), (a1, top, high)]
        rear = [(r0, f0, low), (r0, f0, -low), (r1, top, -high), (r1, top, high)]
        front = [(a1, top, high), (a1, top, -high), (a0, f0, -low), (a0, f0, low)]
        right = [(r0, f0, low), (r1, top, high), (a1, top, high), (a0, f0, low)]
        left = [(a, u, -w) for a, u, w in right[::-1]]
        faces = ((rear, (-1, 0.6, 0)), (front, (1, 0.6, 0)), (right, (0, 0.3, 1)), (left, (0, 0.3, -1)))
        for corners, normal in faces:
            size = math.hypot(*normal)
            n = tuple(v / size for v in normal)
            if not self._face(corners, self._lit(self.car.paint, *n, 0.9)):
                continue
            reflection = 0.22 * (n[1] + 0.3)
            glass = self._lit(self.car.glass, 0, 0, 0) + reflection * self.view.light.horizon * (0.4 + 0.6 * self.sunlit)
            self._glass(corners, glass, sideways=normal[2] != 0, rear=normal[0] < 0)
        self._face(roof, self._lit(self.car.paint, 0, 1, 0))

    def _glass(self, corners: list[tuple[float, float, float]], colour: Colour, sideways: bool, rear: bool) -> None:
        """Inset windows into a cabin face: one for the ends, two beside a pillar for the sides."""
        if sideways:
            start = corners[0][0] < corners[-1][0]
            ranges = ((0.06, 0.5), (0.55, 0.95)) if not self.shape.blind else ((0.66, 0.96),)
            for low, high in ranges:
                low, high = (low, high) if start else (1 - high, 1 - low)
                self._face([_inside(corners, low, 0.12), _inside(corners, low, 0.86), _inside(corners, high, 0.86), _inside(corners, high, 0.12)], colour, visible=True)
        elif not (rear and self.shape.blind):
            self._face([_inside(corners, 0.1, s) if False else _inside(corners, a, s) for a, s in ((0.12, 0.07), (0.88, 0.07), (0.88, 0.93), (0.12, 0.93))], colour, visible=True)
        elif self.detail:
            for low, high in ((0.06, 0.46), (0.54, 0.94)):
                self._face([_inside(corners, a, s) for a, s in ((0.55, low), (0.9, low), (0.9, high), (0.55, high))], colour, visible=True)


def _inside(corners: list[tuple[float, float, float]], along: float, across: float) -> tuple[float, float, float]:
    """Return a point of a quadrilateral: `along` from its edge 0-1 to its edge 3-2, `across` from corner 0 to corner 1."""
    a, b, c, d = corners
    return tuple(  # type: ignore[return-value]
        (a[i] * (1 - across) + b[i] * across) * (1 - along) + (d[i] * (1 - across) + c[i] * across) * along for i in range(3)
    )
