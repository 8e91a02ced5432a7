"""Segments: overlapping shapes of any kind, whose labels say only which pixels belong together."""

import math

import numpy as np

from offstride.data.catalog import SEGMENTS
from offstride.data.drawn.canvas import Area, Canvas, share
from offstride.data.drawn.chance import pick
from offstride.data.drawn.colour import Colour
from offstride.data.drawn.noise import Plane
from offstride.data.drawn.scenes import DrawnScenes
from offstride.data.drawn.segments.camera import photograph, soften
from offstride.data.drawn.segments.shapes import Outline, draw_shape
from offstride.data.drawn.segments.surfaces import draw_surface

__all__ = ["Segments"]


class Segments(DrawnScenes):
    """Pictures of 5 to 40 overlapping segments: ellipses, boxes, polygons, stars, blobs with smooth or frayed borders,
    rings, bars, wandering strokes, ground. Surfaces have textures, patterns, gradients and marks that are no border;
    about half have nearly the colour of what they cover. Shadows, defocus, haze, night, noise and JPEG follow.

    Labels number the segments in the order in which they were painted, which means nothing: they say which pixels
    belong together. Sizes in pixels do not grow with the picture.

    Arguments and errors are those of `DrawnScenes`.
    """

    classes = SEGMENTS

    def paint(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Paint random segments."""
        whole = canvas.area(0, 0, canvas.width, canvas.height)
        assert whole is not None
        canvas.image[:] = draw_surface(rng, whole, _colour(rng))
        count, depth_of_field = int(rng.integers(4, 40)), rng.random() < 0.25
        focus, thin = int(rng.integers(0, count)), rng.random() < 0.3
        for index in range(1, count + 1):
            shape = draw_shape(rng, canvas)
            for _ in range(4 if thin and index > 4 else 0):  # wires, branches, cracks on a few surfaces
                if shape is not None and shape.thin:
                    break
                shape = draw_shape(rng, canvas)
            if shape is None or (thin and index > 4 and not shape.thin):
                continue
            _paint(rng, canvas, shape, index)
            if depth_of_field and index == focus:
                soften(canvas.image, rng.uniform(1, 4))

    def develop(self, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
        """Light, weather, lens, sensor and compression of a random camera."""
        return photograph(canvas.image, rng)


def _paint(rng: np.random.Generator, canvas: Canvas, shape: Outline, index: int) -> None:
    area = shape.area
    soft = 1.0 if shape.thin else math.exp(rng.uniform(0, 0.9))
    cover = share(shape.depth(area) / soft)
    if not (cover >= 0.5).any():
        return
    if rng.random() < 0.35:
        _shadow(rng, canvas, area, cover)
    colour = _under(canvas, area, cover) + rng.normal(0, 0.09, (3, 1, 1)) if rng.random() < 0.5 else _colour(rng)
    surface = draw_surface(rng, area, np.clip(colour, 0, 1))
    for _ in range(int(pick(rng, (0, 0, 0, 1, 3)))):
        _mark(rng, canvas, area, surface)
    canvas.blend(area, cover, surface, index)


def _colour(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(0, 1)
    return grey + (rng.uniform(0, 1, (3, 1, 1)) - grey) * rng.uniform(0, 1)


def _under(canvas: Canvas, area: Area, cover: Plane) -> Colour:
    """Mean colour, as a display shows it, of what a shape covers."""
    below = canvas.image[:, area.rows, area.columns]
    return np.sqrt((below * cover).sum((1, 2), keepdims=True) / max(cover.sum(), 1e-3))


def _shadow(rng: np.random.Generator, canvas: Canvas, area: Area, cover: Plane) -> None:
    """Darken what lies below, beside the shape."""
    shade = np.roll(cover, tuple(rng.integers(-8, 9, 2)), (0, 1))[None].copy()
    soften(shade, rng.uniform(0.7, 5))
    canvas.image[:, area.rows, area.columns] *= 1 - rng.uniform(0.1, 0.6) * shade


def _mark(rng: np.random.Generator, canvas: Canvas, area: Area, surface: Colour) -> None:
    """Paint something onto a surface that is no segment of its own: a window, a stain, a line, light."""
    shape = draw_shape(rng, canvas)
    if shape is None:
        return
    cover = share(shape.depth(area) / rng.uniform(1, 4))
    strength = rng.uniform(0.2, 1)
    surface += strength * cover * (np.square(_colour(rng)).astype(np.float32) - surface)
