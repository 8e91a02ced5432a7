"""The view: a camera in a street, its light, and the canvas it exposes.

World coordinates are metres: x to the right of the road's middle, y above the road, z ahead of the camera. The camera
looks along z, and upright lines stay upright, as if the lens were shifted to place the horizon.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offstride.data.drawn.canvas import Canvas, Point
from offstride.data.drawn.colour import Colour
from offstride.data.drawn.noise import Plane
from offstride.data.drawn.streets.light import Light

NEAREST = 0.6
"""Depth in metres at which surfaces that run past the camera are cut."""

World = tuple[float, float, float]


@dataclass(frozen=True)
class Street:
    """Cross-section and length in metres, and the eaves that throw shadow across it.

    Attributes:
        half: Half the width of the road.
        walk: Width of each pavement.
        end: Depth at which the street ends.
        eaves: Heights of the buildings on the left and on the right, (2, n), every `STEP` metres from depth `START` on.
    """

    half: float
    walk: float
    end: float
    eaves: Plane

    START = -60.0
    STEP = 0.25

    @property
    def front(self) -> float:
        """Distance of the building fronts from the middle of the road."""
        return self.half + self.walk

    def sunlit(self, light: Light, x: Plane, y: Plane, z: Plane) -> Plane:
        """Return the share of the sun, 0 … 1, that the buildings let through to points between their fronts."""
        sun_x, sun_y, sun_z = light.sun
        side = 1 if sun_x > 0 else -1
        distance = np.maximum(self.front - side * x, 0) / max(abs(sun_x), 0.02)
        crossed = (z + distance * sun_z - self.START) / self.STEP
        eaves = self.eaves[(side + 1) // 2]
        eaves = eaves[np.clip(crossed, 0, eaves.size - 1).astype(np.int32)]
        return np.clip((y + distance * sun_y - eaves) * 2 + 0.5, 0, 1)


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and what it frames, whatever the size of the image.

    Attributes:
        x: Metres right of the road's middle.
        y: Metres above the road.
        focal: Focal length as a share of the geometric mean of the image's sides.
        horizon: Horizon below the image's upper edge as a share of its height.
        centre: Vanishing point right of the image's left edge as a share of its width.
    """

    x: float
    y: float
    focal: float
    horizon: float
    centre: float

    def entry(self, x: float) -> float:
        """Return the depth from which on things at x are inside an image of three by four."""
        beside = 1 - self.centre if x > self.x else self.centre
        return abs(x - self.x) * self.focal * math.sqrt(3 / 4) / beside


class View:
    """A canvas seen through a camera: projects world points to the canvas and lights colours."""

    def __init__(self, camera: Camera, street: Street, light: Light, canvas: Canvas):
        self.street, self.light, self.canvas = street, light, canvas
        self.eye_x, self.eye_y = camera.x, camera.y
        self.focal = camera.focal * math.sqrt(canvas.height * canvas.width)
        self.horizon = camera.horizon * canvas.height
        self.centre = camera.centre * canvas.width
        self.haze_colour = light.horizon * 0.8 + light.ambient * 0.2

    def scale(self, z: float) -> float:
        """Return the pixels per metre at depth z."""
        return self.focal / max(z, NEAREST)

    def project(self, x: float, y: float, z: float) -> Point:
        """Return the canvas position of a world point."""
        scale = self.scale(z)
        return self.centre + (x - self.eye_x) * scale, self.horizon - (y - self.eye_y) * scale

    def outline(self, corners: Sequence[World]) -> list[Point]:
        """Return the canvas positions of world points."""
        return [self.project(*corner) for corner in corners]

    def haze(self, z: Plane) -> Plane:
        """Return the share of haze, 0 … 1, between the camera and depth z."""
        return 1 - np.exp(z * (-1 / self.light.haze))

    def sunlit(self, x: float, y: float, z: float) -> float:
        """Return the share of the sun, 0 … 1, that the buildings let through to one point."""
        points = np.array([[x], [y], [z]], np.float32)
        return float(self.street.sunlit(self.light, *points)[0])

    def lit(self, colour: Colour, facing: float, z: float, sunlit: float = 1.0, ambient: float = 1.0) -> Colour:
        """Return a surface's colour as seen: in the light of sun and sky, behind the haze.

        Args:
            colour: Albedo.
            facing: Cosine between the surface and the sun, 0 … 1.
            z: Depth in metres.
            sunlit: Share of the sun that reaches the surface.
            ambient: Share of the sky that it sees.
        """
        clear = math.exp(-z / self.light.haze)
        light = self.light.ambient * (ambient * clear) + self.light.sunlight * (facing * sunlit * clear)
        return colour * light + self.haze_colour * (1 - clear)
