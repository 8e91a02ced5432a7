"""Streets: procedural street scenes with exact label maps, for demonstrations and tests that need no download."""

import numpy as np

from offstride.data.catalog import STREETS
from offstride.data.drawn.canvas import Canvas
from offstride.data.drawn.scenes import DrawnScenes
from offstride.data.drawn.streets.scene import draw_scene, paint_scene

__all__ = ["Streets"]


class Streets(DrawnScenes):
    """Street scenes. A sample shows the same street at every size; from 32 × 48 on, every class can be made out.

    Arguments and errors are those of `DrawnScenes`.
    """

    classes = STREETS

    def paint(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Paint a random street."""
        paint_scene(draw_scene(rng), canvas)
