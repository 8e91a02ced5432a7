"""Rows of a PNG file that is too large to be decoded at once.

Pillow decodes whole files, but its decoder of PNG rows also takes a few of them: the filters of a row refer to the row
above it alone (PNG specification, §9), which is put in front of them without a filter.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import numpy as np
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}  # Pillow's, of the colour types; a letter is a byte
_STRIP = 64  # rows that are decoded at once
_BLOCK, _INFLATED = 1 << 16, 1 << 20  # bytes
_PLAIN = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"tIME", b"bKGD", b"sBIT")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_TURNING = (b"Raw profile type", b"XML:com.adobe.xmp")  # texts that may say how the image is to be turned


class _Header(NamedTuple):
    W: int
    H: int
    mode: str
    palette: bytes


class PngRows:
    """The rows of a PNG file, read from the top down. It keeps the rows of the last `read`, and as many above.

    Attributes:
        path: The file.
        shape: (H, W, 3).
    """

    def __init__(self, path: Path, header: _Header) -> None:
        self.path, self.shape = path, (header.H, header.W, 3)
        self._kept, self._first, self._next = np.empty((0, header.W, 3), np.uint8), 0, 0
        self._strips = _strips(path, header)

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """The rows of a file; None if it must be decoded at once: it is no PNG of 8 bits, interlaced, damaged, has
        transparent colours, or metadata that may rotate it.

        Raises:
            OSError: If it cannot be read.
        """
        with path.open("rb") as file:
            header = _header(file)
        return None if header is None else cls(path, header)

    def can_read(self, top: int) -> bool:
        """Whether a row is still available."""
        return top >= self._first

    def read(self, top: int, bottom: int) -> np.ndarray:
        """`(bottom − top, W, 3)` uint8, RGB. Rows more than `bottom − top` above are dropped.

        Raises:
            ValueError: Naming the path, if the file is damaged.
        """
        first = max(self._first, top - (bottom - top))
        parts = [self._kept[first - self._first :]]
        while self._next < bottom:
            if (strip := next(self._strips, None)) is None:  # after an error
                raise ValueError(f"file {self.path}: cannot be decoded further")
            parts.append(strip[max(0, first - self._next) :])
            self._next += len(strip)
        self._kept, self._first = np.concatenate(parts) if len(parts) > 1 else parts[0], first
        return self._kept[top - first : bottom - first]


def _header(file: BinaryIO) -> _Header | None:
    """What is needed to decode rows; None if the file must be decoded at once."""
    values, palette = None, b""
    if file.read(8) != _SIGNATURE:
        return None
    for kind, size in _chunks(file):
        if kind == b"IHDR":
            values = struct.unpack(">IIBBBBB", file.read(13))
        elif kind == b"PLTE":
            palette = file.read(size)
        elif kind in _TEXT:
            if file.read(min(size, 32)).startswith(_TURNING):
                return None
        elif kind not in _PLAIN:
            return None
        if kind == b"IEND" and values is not None:
            W, H, depth, colour, *methods = values
            fits = depth == 8 and colour in _MODES and not any(methods)
            return _Header(W, H, _MODES[colour], palette) if fits else None
    return None


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and size of each chunk up to the end of the file, whose position is at the content of the chunk."""
    place = len(_SIGNATURE)
    file.seek(place)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        yield kind, size
        place += size + 12
        file.seek(place)


def _strips(path: Path, header: _Header) -> Iterator[np.ndarray]:
    """The pixels of the file, some rows at a time."""
    width, above, data = 1 + header.W * len(header.mode), b"", bytearray()
    try:
        with path.open("rb") as file:
            inflated = _inflated(file)
            for start in range(0, header.H, _STRIP):
                count = min(_STRIP, header.H - start)
                while len(data) < count * width:
                    data += next(inflated)
                image = _unfiltered(header, above, bytes(data[: count * width]))
                above = b"\0" + np.asarray(image)[-1].tobytes()
                yield np.asarray(image.convert("RGB"))[-count:]
                del data[: count * width]
    except (OSError, ValueError, RuntimeError, zlib.error) as error:
        raise ValueError(f"file {path}: cannot be decoded ({error})") from error


def _unfiltered(header: _Header, above: bytes, rows: bytes) -> Image.Image:
    """The image of some filtered rows below one without a filter, if there is one."""
    size = (header.W, (len(above) + len(rows)) // (1 + header.W * len(header.mode)))
    image = Image.frombytes(header.mode, size, zlib.compress(above + rows, 0), "zip", header.mode)
    if header.palette and header.mode == "P":
        image.putpalette(header.palette)
    return image


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    """The filtered rows, in parts of any length."""
    inflate = zlib.decompressobj()
    for kind, size in _chunks(file):
        checksum = zlib.crc32(kind)
        while kind == b"IDAT" and size:
            block = file.read(min(size, _BLOCK))
            size, checksum = size - len(block), zlib.crc32(block, checksum)
            while part := inflate.decompress(block, _INFLATED):
                yield part
                block = inflate.unconsumed_tail
        if kind == b"IDAT" and file.read(4) != struct.pack(">I", checksum):
            raise ValueError("wrong checksum")
    raise ValueError("it ends early")
