"""Iterates over the files in a zip, a tar (compressed or not) or a folder; unsafe ones raise errors.

Members are only read here; `unpack.py` writes their content to files that it names itself: links, modes and owners of
an archive never reach the disk. What tarfile's `filter="data"` refuses or repairs is refused.
"""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_COMPRESSED: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open}


@dataclass(frozen=True)
class Member:
    """A regular file of an archive.

    Attributes:
        name: Its path in the archive, relative, with slashes.
        size: In bytes, unpacked.
        open: Opens it for reading.
        behind: Bytes of the archive up to the end of this member.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]
    behind: Callable[[], int]


def members(path: Path) -> Iterator[Member]:
    """The regular files of an archive, or of an unpacked copy of it, in their order.

    A tar must have its end-of-archive mark, and its compressed stream a valid end.

    Raises:
        ValueError: Naming archive and member: an absolute path or one with "..", a link, a device, an encrypted member.
            Within `readable`: when the archive is damaged or truncated.
    """
    if path.is_dir():
        return _in_folder(path)
    with path.open("rb") as file:
        start = file.read(5)
    return _in_zip(path) if start.startswith(b"PK") else _in_tar(path, start)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the errors of damaged archives into a `ValueError` that names the archive."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        reason = f"{error}" or type(error).__name__
        raise ValueError(
            f"archive {path}: expected a whole archive, found it damaged or truncated ({reason})"
        ) from error


def _in_folder(path: Path) -> Iterator[Member]:
    behind = 0
    for file in sorted(path.rglob("*")):
        if file.is_file():
            size = file.stat().st_size
            behind += size
            yield Member(file.relative_to(path).as_posix(), size, lambda file=file: file.open("rb"), lambda b=behind: b)


def _in_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        behind = 0
        for info in archive.infolist():
            _check_name(path, info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unsafe(path, info.filename, "a link or a device")
            if info.flag_bits & 1:
                raise _unsafe(path, info.filename, "encrypted")
            behind += info.compress_size
            if not info.is_dir():
                yield Member(info.filename, info.file_size, lambda i=info: archive.open(i), lambda b=behind: b)


def _in_tar(path: Path, start: bytes) -> Iterator[Member]:
    unpacked = next((wrap for magic, wrap in _COMPRESSED.items() if start.startswith(magic)), None)
    with path.open("rb") as raw:
        stream = _Recent(unpacked(raw) if unpacked else raw)
        with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
            for info in archive:
                _check_name(path, info.name)
                if not (info.isreg() or info.isdir()):
                    raise _unsafe(path, info.name, "a link" if info.issym() or info.islnk() else "a device")
                if info.isreg():
                    yield Member(info.name, info.size, lambda i=info: _opened(archive, i), raw.tell)
        if stream.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("the end-of-archive mark is missing")
        while stream.read(1 << 20):  # to the checksum at the end of the compressed stream
            pass


def _opened(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None, "regular files have content"
    return file


class _Recent:
    """A stream that keeps the last bytes read: a complete tar ends with a block of zeros."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.last = file, b""
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        self.last = self.file.read(size)
        return self.last


def _check_name(path: Path, name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if not parts[0] or parts[0].endswith(":") or ".." in parts:
        raise _unsafe(path, name, "outside the folder that it is to be unpacked to")


def _unsafe(path: Path, name: str, reason: str) -> ValueError:
    return ValueError(
        f"archive {path}: expected plain files below its own folder, got member {name!r}, which is {reason}"
    )
