"""Tileable fractal noise: the one texture that clouds, leaves, bark, asphalt and plaster are cut from."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating]
"""Float32 in memory; the type says less because stubs take a Python float times float32 for float64."""

SIDE = 256
"""Texels per side of a tile; a power of two, so wrapping is a bit mask."""


@lru_cache
def tile(slope: float) -> Plane:
    """Return a (SIDE, SIDE) tile of zero mean and unit variance whose amplitude falls as 1 / frequency**slope."""
    white = np.random.Generator(np.random.PCG64(7)).standard_normal((SIDE, SIDE))
    across = np.fft.rfftfreq(SIDE)[None, :]
    down = np.fft.fftfreq(SIDE)[:, None]
    frequency = np.maximum(np.hypot(across, down), 1 / SIDE)
    texture = np.fft.irfft2(np.fft.rfft2(white - white.mean()) / frequency**slope, s=(SIDE, SIDE))
    return (texture / texture.std()).astype(np.float32)


def sample(slope: float, x: Plane, y: Plane) -> Plane:
    """Read the tile of `slope` bilinearly at texel coordinates x, y (broadcast against each other), wrapping around."""
    texture = tile(slope).ravel()
    left, top = np.floor(x), np.floor(y)
    across, down = x - left, y - top
    column, row = left.astype(np.int32) & (SIDE - 1), (top.astype(np.int32) & (SIDE - 1)) * SIDE
    next_column, next_row = (column + 1) & (SIDE - 1), (row + SIDE) & (SIDE * SIDE - 1)
    upper, lower = texture[row + column], texture[next_row + column]
    upper += across * (texture[row + next_column] - upper)
    lower += across * (texture[next_row + next_column] - lower)
    lower -= upper
    lower *= down
    lower += upper
    return lower
