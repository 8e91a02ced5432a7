"""What lies between a drawn scene and a photograph: light, weather, lens, sensor, compression."""

import io

import numpy as np
from PIL import Image

from offstride.data.drawn import noise
from offstride.data.drawn.colour import Colour


def soften(image: Colour, sigma: float) -> None:
    """Blur `(C, h, w)` in place by a Gaussian."""
    from scipy import ndimage  # slow to import

    image[:] = ndimage.gaussian_filter(image, (0, sigma, sigma), mode="nearest")


def photograph(light: Colour, rng: np.random.Generator) -> np.ndarray:
    """`(3, H, W)` uint8 picture of linear light, which is used up."""
    _, height, width = light.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    if rng.random() < 0.3:  # light that falls unevenly
        shift = rng.uniform(0, 256, 2)
        light *= np.exp(rng.uniform(0.1, 0.5) * noise.sample(1.6, x * 0.4 + shift[0], y * 0.4 + shift[1]))
    if rng.random() < 0.2:  # haze
        veil = rng.uniform(0.1, 0.6) * np.clip(1.2 - y / height * rng.uniform(0.5, 1.5), 0, 1)
        light += veil * (np.float32(rng.uniform(0.4, 1)) - light)
    soften(light, abs(rng.normal(0, 0.55)))
    night = rng.random() < 0.15
    gain = rng.uniform(0.05, 0.3) if night else rng.uniform(0.6, 1.3)
    light *= (gain * rng.uniform(0.9, 1.1, (3, 1, 1))).astype(np.float32)
    image = np.sqrt(np.clip(light, 0, 1))
    image += rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, 0.05 if night else 0.03))
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return _compressed(pixels, int(rng.integers(25, 95))) if rng.random() < 0.5 else pixels


def _compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """The picture after JPEG compression."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(buffer, "jpeg", quality=quality)
    return np.ascontiguousarray(np.asarray(Image.open(buffer)).transpose(2, 0, 1))
