"""Cars: two extruded profiles, body and cabin, with glass, lights, wheels and the shade below."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offstride.data.drawn.canvas import Point
from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour, grey, hsv, rgb
from offstride.data.drawn.streets.car_shapes import SHAPES, Shape, Span
from offstride.data.drawn.streets.ground import Shadow
from offstride.data.drawn.streets.kinds import CAR
from offstride.data.drawn.streets.light import Light
from offstride.data.drawn.streets.view import NEAREST, View

Corner = tuple[float, float, float]

WHOLE: Span = (0.0, 1.0)
TYRE, ARCH, RIM, HUB, BUMPER, GRILLE = grey(0.13), grey(0.07), grey(0.53), grey(0.20), grey(0.16), grey(0.12)
TINT, PLATE, HEADLIGHT, TAIL_LIGHT = rgb(0.17, 0.21, 0.25), grey(0.84), grey(0.91), rgb(0.66, 0.06, 0.06)


@dataclass(frozen=True)
class Car:
    """One car whose middle stands at (x, z) and whose nose points `yaw` radians to the right of ahead.

    Attributes:
        colour: Of the body.
        lamps: Whether its lights are on.
    """

    x: float
    z: float
    yaw: float
    shape: Shape
    colour: Colour
    lamps: bool

    def place(self, corner: Corner) -> Corner:
        """Return the world position of a point (along, up, right) of the car."""
        along, up, right = corner
        sine, cosine = math.sin(self.yaw), math.cos(self.yaw)
        return self.x + along * sine + right * cosine, up, self.z + along * cosine - right * sine

    def shadows(self, light: Light) -> list[Shadow]:
        """Return the shade under the car, and what body and cabin throw beside it."""
        half = self.shape.width / 2
        reach = self.shape.body[-2][0] - half

        def stroke(rear: float, front: float, height: float, size: float) -> Shadow:
            fall = 0.0 if light.mood == "overcast" else height / max(light.sun[1], 0.25)
            ends = [self.place((along, 0, 0)) for along in (rear, front)]
            start, end = ((x - fall * light.sun[0], z - fall * light.sun[2]) for x, _, z in ends)
            return Shadow(start, end, half * size, softness=0.12 if height else 0.35, contact=not height)

        strokes = [stroke(-reach, reach, 0.0, 0.98)]
        if light.mood != "overcast":
            strokes += [stroke(-reach, reach, 0.6, 0.97), stroke(-0.9 * reach, 0.2 * reach, 1.2, 0.8)]
        return strokes

    def paint(self, view: View) -> None:
        """Paint the faces that look at the camera."""
        _Painter(view, self).paint()


def draw_car(rng: np.random.Generator, x: float, z: float, yaw: float, lamps: bool = False) -> Car:
    """Draw a car of a random shape and paint: greys more often than colours."""
    if rng.random() < 0.55:
        paint = grey(pick(rng, (0.14, 0.3, 0.5, 0.7, 0.88)) * rng.uniform(0.92, 1.05))
    else:
        hue = pick(rng, (0.0, 0.01, 0.58, 0.61, 0.64, 0.1, 0.14, 0.38)) + rng.uniform(-0.02, 0.02)
        paint = hsv(hue, rng.uniform(0.4, 0.8), rng.uniform(0.35, 0.75))
    return Car(x, z, yaw, pick(rng, SHAPES, (3, 3, 2, 1)), paint, lamps)


class _Painter:
    """Paints the faces of one car that look at the camera.

    Corners and normals are (along, up, right) in the car's own axes; the corners of a face run clockwise as seen from
    outside. Far cars go without the details that no pixel would show.
    """

    def __init__(self, view: View, car: Car):
        self.view, self.car, self.shape = view, car, car.shape
        self.half, size = car.shape.width / 2, view.scale(car.z)
        self.fine, self.coarse = size > 15, size < 7.5
        self.sunlit = view.sunlit(car.x, 1.0, car.z)
        self.sine, self.cosine = math.sin(car.yaw), math.cos(car.yaw)
        x, z = view.eye_x - car.x, -car.z
        self.eye = x * self.sine + z * self.cosine, view.eye_y, x * self.cosine - z * self.sine

    def paint(self) -> None:
        """Paint from the ground up: the cabin stands on the body, which the camera sees from above or from far away."""
        self._treads()
        self._body()
        self._flank(-1)
        self._flank(1)
        self._cabin()

    def _points(self, corners: Sequence[Corner]) -> list[Point]:
        """Return canvas positions: `Car.place`, then `View.project`, in one loop for speed."""
        view, car, points = self.view, self.car, []
        for along, up, right in corners:
            scale = view.focal / max(car.z + along * self.cosine - right * self.sine, NEAREST)
            x = car.x + along * self.sine + right * self.cosine
            points.append((view.centre + (x - view.eye_x) * scale, view.horizon - (up - view.eye_y) * scale))
        return points

    def _lit(self, colour: Colour, normal: Corner, ambient: float = 1.0) -> Colour:
        """Return a colour in the light that falls on a surface."""
        along, up, right = normal
        x, z = along * self.sine + right * self.cosine, along * self.cosine - right * self.sine
        return self.view.lit(colour, self.view.light.facing(x, up, z), self.car.z, self.sunlit, ambient)

    def _fill(self, corners: Sequence[Corner], colour: Colour) -> None:
        """Fill a polygon unless it is too small to be seen."""
        points = self._points(corners)
        if abs(points[0][0] - points[2][0]) + abs(points[0][1] - points[2][1]) > 1.8:
            self.view.canvas.polygon(points, colour, CAR)

    def _outward(self, face: Sequence[Corner]) -> Corner | None:
        """Return the unit normal of a face that looks at the camera, None of one that looks away."""
        (ax, ay, az), (bx, by, bz), (dx, dy, dz) = face[0], face[1], face[-1]
        ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, dx - ax, dy - ay, dz - az
        x, y, z = vy * uz - vz * uy, vz * ux - vx * uz, vx * uy - vy * ux
        if x * (self.eye[0] - ax) + y * (self.eye[1] - ay) + z * (self.eye[2] - az) <= 0:
            return None
        size = math.hypot(x, y, z)
        return x / size, y / size, z / size

    def _treads(self) -> None:
        """Paint the tyres of the nearer axle as seen from ahead or behind."""
        axle = self.shape.axles[0 if self.eye[0] < 0 else 1]
        dark = self._lit(TYRE, (0, 0, 0), 0.6)
        for side in (-1, 1):
            inner, outer = side * (self.half - 0.22), side * (self.half - 0.02)
            self._fill([(axle, 0, inner), (axle, 0.45, inner), (axle, 0.45, outer), (axle, 0, outer)], dark)

    def _width(self, along: float) -> float:
        """Return half the body's width: bumpers are drawn in a little."""
        return self.half * (0.94 if abs(along) > 0.94 * self.shape.body[-2][0] else 1.0)

    def _body(self) -> None:
        """Paint the strips across the car, from bumper to bumper over boot and bonnet, with what they carry."""
        last = len(self.shape.body) - 2
        for i, ((a0, u0), (a1, u1)) in enumerate(itertools.pairwise(self.shape.body)):
            w0, w1 = self._width(a0), self._width(a1)
            strip = [(a0, u0, w0), (a0, u0, -w0), (a1, u1, -w1), (a1, u1, w1)]
            normal = self._outward(strip)
            if normal is None:
                continue
            self._fill(strip, self._lit(self.car.colour, normal, 0.75 + 0.3 * normal[1]))
            if not self.coarse and i in (0, last):
                self._fill(_patch(strip, (0, 0.5) if i == 0 else (0.5, 1)), self._lit(BUMPER, (0, 0, 0), 0.8))
            elif not self.coarse and i in (1, last - 1):
                self._lights(strip, normal, rear=i == 1)

    def _lights(self, strip: list[Corner], normal: Corner, rear: bool) -> None:
        """Paint lights, number plate and grille onto the upper strip of an end."""
        lens = TAIL_LIGHT if rear else HEADLIGHT
        colour = self._lit(lens, normal) + lens * ((0.7 if rear else 1.6) * self.car.lamps)
        for across in ((0.02, 0.17), (0.83, 0.98)):
            self._fill(_patch(strip, (0.3, 0.8) if rear else (0.15, 0.65), across), colour)
        if not self.fine:
            return
        self._fill(_patch(strip, (0.1, 0.4) if rear else (0.72, 1.0), (0.37, 0.63)), self._lit(PLATE, normal))
        if not rear:
            self._fill(_patch(strip, (0.2, 0.6), (0.26, 0.74)), self._lit(GRILLE, normal))

    def _flank(self, side: int) -> None:
        """Paint a side of the body, its doors and wheels."""
        if side * self.eye[2] <= self.half:
            return
        outline = [(along, up, side * self._width(along)) for along, up in self.shape.body]
        paint = self._lit(self.car.colour, (0, 0.2, side), 0.85)
        self._fill(outline, paint)
        if not self.coarse:
            rear, front, right = self.shape.body[2][0] + 0.5, self.shape.body[3][0], side * self.half
            doors = [(rear, 0.28, right), (front, 0.28, right), (front, 0.95, right), (rear, 0.95, right)]
            self._fill(_patch(doors, (0.0, 0.16)), paint * 0.4)
            if self.fine:
                self._fill(_patch(doors, (0.74, 0.88)), paint * 1.12)
                for seam in (0.22, 0.60, 0.98):
                    self._fill(_patch(doors, (0.1, 0.95), (seam, seam + 0.02)), paint * 0.5)
        for axle in self.shape.axles:
            self._wheel(axle, side)

    def _wheel(self, axle: float, side: int) -> None:
        """Paint a wheel, circles in the plane of the flank."""
        up, right = self.shape.wheel, side * self.half
        (x, y), (ax, ay), (bx, by) = self._points([(axle, up, right), (axle + up, up, right), (axle, 2 * up, right)])
        rings = [(1.2, ARCH), (1.0, TYRE), (0.62, RIM), (0.2, HUB)]
        for size, colour in rings if self.fine else rings[1:2] if self.coarse else rings[1:3]:
            first, second = (size * (ax - x), size * (ay - y)), (size * (bx - x), size * (by - y))
            self.view.canvas.ellipse((x, y), first, second, self._lit(colour, (0, 0, side), 0.8), CAR)

    def _cabin(self) -> None:
        """Paint the four sides of the glasshouse, then the roof."""
        (r0, f0), (r1, top), (a1, _), (a0, f1) = self.shape.cabin
        low, high, blind = self.half * 0.97, self.half - self.shape.inset, self.shape.blind
        beside = ((0.05, 0.34),) if blind else ((0.05, 0.47), (0.53, 0.93))
        self._glazed(
            [(r0, f0, low), (r0, f0, -low), (r1, top, -high), (r1, top, high)],
            ((0.08, 0.46), (0.54, 0.92)) if blind else ((0.06, 0.94),),
        )
        self._glazed([(a0, f1, -low), (a0, f1, low), (a1, top, high), (a1, top, -high)], ((0.05, 0.95),))
        self._glazed([(a0, f1, low), (r0, f0, low), (r1, top, high), (a1, top, high)], beside)
        self._glazed(
            [(r0, f0, -low), (a0, f1, -low), (a1, top, -high), (r1, top, -high)],
            [(1 - stop, 1 - start) for start, stop in beside],
        )
        self._glazed([(r1, top, high), (r1, top, -high), (a1, top, -high), (a1, top, high)], ())

    def _glazed(self, face: list[Corner], panes: Sequence[Span]) -> None:
        """Paint a side of the cabin; `panes` are the shares of its lower edge under glass."""
        normal = self._outward(face)
        if normal is None:
            return
        self._fill(face, self._lit(self.car.colour, normal, 0.9))
        mirrored = 0.22 * (normal[1] + 0.3) * (0.4 + 0.6 * self.sunlit)
        glass = self._lit(TINT, (0, 0, 0)) + self.view.light.horizon * mirrored
        for pane in panes:
            self._fill(_patch(face, (0.1, 0.88), pane), glass)


def _patch(quad: Sequence[Corner], up: Span, across: Span = WHOLE) -> list[Corner]:
    """Return a part of a quadrilateral: `up` from its edge 0-1 to its edge 3-2, `across` from corner 0 to corner 1."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz), (dx, dy, dz) = quad

    def at(u: float, v: float) -> Corner:
        a, b, c, d = (1 - u) * (1 - v), (1 - u) * v, u * v, u * (1 - v)
        return a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy, a * az + b * bz + c * cz + d * dz

    (low, high), (start, stop) = up, across
    return [at(low, start), at(low, stop), at(high, stop), at(high, start)]
