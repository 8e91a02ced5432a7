"""Decodes image and mask files of all common formats to arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

_ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N")


def read_image(path: str | Path, file: BinaryIO | None = None) -> np.ndarray:
    """Decode a whole image file.

    Grey, palette and CMYK images become RGB, an alpha channel is dropped, 16-bit grey is reduced to 8 bits, the EXIF
    orientation is applied.

    Args:
        path: The file.
        file: An open file to read instead; `path` then only names it in messages.

    Returns:
        `(H, W, 3)` uint8, RGB.

    Raises:
        ValueError: Naming the path, when the file is missing, damaged, truncated or of another kind.
    """
    return pixels_of(_open(path, file), f"image {path}")


def pixels_of(image: Image.Image, title: str = "image") -> np.ndarray:
    """Pixels of an upright Pillow image, converted as `read_image` says: `(H, W, 3)` uint8, RGB.

    Raises:
        ValueError: Beginning with the title, when the pixels are floating-point numbers.
    """
    if image.mode == "F":
        raise ValueError(f"{title}: expected integers, got floating-point pixels, whose range is unknown")
    if image.mode.startswith("I"):  # Pillow would clip these to 255
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return np.repeat(((deep + 128) // 257).astype(np.uint8)[..., None], 3, 2)
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def read_mask(path: str | Path, file: BinaryIO | None = None) -> np.ndarray:
    """Decode a whole one-channel mask file; palette files give their indices.

    Args:
        path: The file.
        file: An open file to read instead; `path` then only names it in messages.

    Returns:
        `(H, W)` mask-file values: uint8, uint16, int32 or bool.

    Raises:
        ValueError: Naming the path, when the file is missing, damaged, truncated or has several channels.
    """
    mask = _open(path, file)
    if mask.mode not in _ONE_CHANNEL:
        raise ValueError(f"mask {path}: expected one channel (grey or palette), got Pillow mode {mask.mode!r}")
    return np.asarray(mask)


def _open(path: str | Path, file: BinaryIO | None) -> Image.Image:
    """The decoded file, turned upright."""
    with decoding(path), Image.open(path if file is None else file) as image:
        ImageOps.exif_transpose(image, in_place=True)  # loads all of it
        return image


@contextmanager
def decoding(path: str | Path) -> Iterator[None]:
    """Turn every error of a decoder, of whatever type, into a `ValueError` that names the path."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"file {path}: does not exist") from error
    except Exception as error:
        raise ValueError(f"file {path}: cannot be decoded ({error})") from error
