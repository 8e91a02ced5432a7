"""Pictures as data URIs, so that a page is one file."""

import base64
import io

import numpy as np
from PIL import Image

_SHARP_WIDTH = 480


def data_uri(picture: np.ndarray, *, quality: int = 90) -> str:
    """Encode an `(H, W, 3)` or `(H, W, 4)` uint8 picture for the `src` of an HTML image.

    Flat pictures, such as label maps, become PNG, enlarged pixel by pixel so that no browser blurs them; those with
    many colours become JPEG of this quality; those with transparency PNG.
    """
    image = Image.fromarray(picture)
    if image.mode == "RGBA":
        return _encode(image, "PNG", optimize=True)
    if image.getcolors(256) is None:
        return _encode(image, "JPEG", quality=quality, subsampling=0)
    factor = -(-_SHARP_WIDTH // image.width)
    size = (image.width * factor, image.height * factor)
    return _encode(image.resize(size, Image.Resampling.NEAREST), "PNG", optimize=True)


def _encode(image: Image.Image, file_format: str, **options: object) -> str:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return f"data:image/{file_format.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
