"""Image files of any size, read in windows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from offstride.data.decode import decoding, read_image
from offstride.data.png_rows import PngRows

_ORIENTATION = 0x0112  # EXIF tag; 1 is upright


class ImageWindows:
    """The pixels of an image file, sliced like an array: `windows[top:bottom, left:right]` is `(h, w, 3)` uint8.

    Only slices become arrays. A `.npy` file of such an array stays on disk (memory-mapped). A PNG file of 8 bits, not
    interlaced and without transparent colours, is decoded row by row as long as slices go down the image; it keeps the
    rows of the last slice and as many above. Any other upright RGB file is decoded once, at four bytes a pixel, and so
    is a PNG file when a slice goes further back up; all others are read like by `read_image`. The number of pixels has
    no limit: use trusted files only.

    Args:
        path: Image file.

    Raises:
        ValueError: Naming the path, when the file is missing, damaged or of another kind; some damage of PNG files
            shows when a slice reaches it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._pixels = _map(self.path) if self.path.suffix.lower() == ".npy" else _open(self.path)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        if isinstance(self._pixels, Image.Image):
            return self._pixels.height, self._pixels.width, 3
        H, W, _ = self._pixels.shape
        return H, W, 3

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        if isinstance(self._pixels, np.ndarray):
            return np.array(self._pixels[key])
        (top, bottom, _), (left, right, _) = (
            part.indices(length) for part, length in zip(key, self.shape[:2], strict=True)
        )
        if isinstance(self._pixels, PngRows):
            if self._pixels.can_read(top):
                return np.array(self._pixels.read(top, bottom)[:, left:right])
            self._pixels = _decode(self.path)
            return self[key]
        return np.array(self._pixels.crop((left, top, right, bottom)))


def _map(path: Path) -> np.ndarray:
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"file {path}: cannot be read as an array ({error})") from error
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"file {path}: expected (H, W, 3) uint8, got {pixels.shape} {pixels.dtype}")
    return pixels


def _open(path: Path) -> PngRows | Image.Image | np.ndarray:
    try:
        rows = PngRows.open(path)
    except OSError:
        rows = None  # _decode raises for it
    return _decode(path) if rows is None else rows


def _decode(path: Path) -> Image.Image | np.ndarray:
    with _any_size():
        with decoding(path), Image.open(path) as image:
            plain = image.mode == "RGB" and "transparency" not in image.info
            if plain and image.getexif().get(_ORIENTATION, 1) == 1:  # upright
                image.load()
                return image
        return read_image(path)


@contextmanager
def _any_size() -> Iterator[None]:
    """Without Pillow's guard against files that claim to be huge."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
