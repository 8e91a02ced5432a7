"""The view: a camera in a street, its light, and the canvas it exposes.

World coordinates are metres: x to the right of the road's middle, y above the road, z ahead of the camera. The camera looks along z
and its vertical lines stay vertical, as if the lens were shifted to place the horizon.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offstride.data.streets.canvas import Canvas, Colour, Point
from offstride.data.streets.light import Light
from offstride.data.streets.noise import Plane

NEAREST = 0.6
"""Depth in metres at which surfaces that run past the camera are cut."""

World = tuple[float, float, float]


@dataclass(frozen=True)
class Street:
    """Cross-section and length in metres, and the heights that throw shadow across it.

    Attributes:
        half: Half the width of the road.
        walk: Width of each pavement.
        end: Depth at which a building closes the street.
        skyline: Eaves of the buildings at the left and right, (2, n), sampled every `STEP` metres from depth `START` on.
    """

    half: float
    walk: float
    end: float
    skyline: Plane

    START = -60.0
    STEP = 0.25

    @property
    def front(self) -> float:
        """Distance of the building fronts from the middle of the road."""
        return self.half + self.walk

    def sunlit(self, light: Light, x: Plane, y: Plane | float, z: Plane) -> Plane:
        """Return the share of the sun, 0 … 1, that the building fronts let through to the points x, y, z between them."""
        sun_x, sun_y, sun_z = light.sun
        side = 1 if sun_x > 0 else -1
        distance = np.maximum(self.front - side * x, 0) / max(abs(sun_x), 0.02)
        depth = z + distance * sun_z
        eaves = self.skyline[(side + 1) // 2]
        crossed = np.clip((depth - self.START) / self.STEP, 0, eaves.size - 1).astype(np.int32)
        return np.clip((y + distance * sun_y - eaves[crossed]) * 2 + 0.5, 0, 1)


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and what it frames, independent of the image size.

    Attributes:
        x: Metres right of the road's middle.
        y: Metres above the road.
        focal: Focal length as a share of the geometric mean of the image's sides.
        horizon: Height of the horizon as a share of the image height from the top.
        centre: Vanishing point as a share of the image width from the left.
    """

    x: float
    y: float
    focal: float
    horizon: float
    centre: float


class View:
    """A canvas seen through a camera: projects world points and colours to the canvas."""

    def __init__(self, camera: Camera, street: Street, light: Light, canvas: Canvas):
        self.street, self.light, self.canvas = street, light, canvas
        self.eye_x, self.eye_y = camera.x, camera.y
        self.focal = camera.focal * math.sqrt(canvas.height * canvas.width)
        self.horizon = camera.horizon * canvas.height
        self.centre = camera.centre * canvas.width
        lean = (light.horizon * 0.8 + light.ambient * 0.2).astype(np.float32)
        self.haze_colour = lean

    def project(self, x: float, y: float, z: float) -> Point:
        """Return the canvas position of a world point."""
        scale = self.focal / max(z, NEAREST)
        return self.centre + (x - self.eye_x) * scale, self.horizon - (y - self.eye_y) * scale

    def outline(self, corners: Sequence[World]) -> list[Point]:
        """Return the canvas positions of world points."""
        return [self.project(*corner) for corner in corners]

    def scale(self, z: float) -> float:
        """Return the pixels per metre at depth z."""
        return self.focal / max(z, NEAREST)

    def haze(self, z: Plane) -> Plane:
        """Return the share of haze, 0 … 1, between the camera and depth z."""
        return 1 - np.exp(z * (-1 / self.light.haze_distance))

    def lit(self, colour: Colour, facing: float, z: float, sunlit: float = 1.0, ambient: float = 1.0) -> Colour:
        """Return a surface's colour as seen: in sun and sky light, behind the haze at depth z.

        Args:
            colour: Albedo, linear.
            facing: Cosine between the surface and the sun, 0 … 1.
            z: Depth in metres.
            sunlit: Share of the sun that reaches the surface.
            ambient: Share of the sky that it sees.
        """
        light = self.light.ambient * ambient + self.light.sunlight * (facing * sunlit)
        clear = math.exp(-z / self.light.haze_distance)
        return colour * light * clear + self.haze_colour * (1 - clear)
