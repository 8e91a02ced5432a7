"""Development of the canvas into a photograph: lens, tone curve, sensor noise."""

import numpy as np
from numpy.typing import NDArray

from offstride.data.drawn.canvas import Colour


def develop(light: Colour, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image (3, H, W) that a camera makes of linear light, which is used up.

    Slight blur, vignette, white balance, a filmic tone curve (a rational function after Narkowicz, "ACES filmic tone
    mapping curve", 2016), gamma two, and noise that is even after it, as that of photons is.
    """
    _, height, width = light.shape
    image = _blur(light, rng.uniform(0.02, 0.16))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    gain = rng.uniform(0.95, 1.05, (3, 1, 1)).astype(np.float32) * np.float32(rng.uniform(0.85, 1.15))
    image *= gain * (1 - np.float32(rng.uniform(0.04, 0.12)) * (x * x + y * y))
    image = image * (2.1 * image + 0.06) / (image * (1.9 * image + 0.62) + 0.16)
    np.sqrt(np.maximum(image, 0, out=image), out=image)
    image += rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0.004, 0.022))
    image *= 255
    image += 0.5
    return np.clip(image, 0, 255, out=image).astype(np.uint8)


def _blur(image: Colour, amount: float) -> Colour:
    """Blur by (amount, 1 - 2 amount, amount) along both axes; the frame keeps its light."""
    side, middle = np.float32(amount), np.float32(1 - 2 * amount)
    for axis in (1, 2):
        source = np.swapaxes(image, axis, 2)
        blurred = middle * source
        blurred[..., 1:] += side * source[..., :-1]
        blurred[..., :-1] += side * source[..., 1:]
        blurred[..., 0] += side * source[..., 0]
        blurred[..., -1] += side * source[..., -1]
        image = np.swapaxes(blurred, axis, 2)
    return image
