"""Checks that a file is the published archive, and complete."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from offstride.data.prepare.archives import Archive
from offstride.data.prepare.members import members, readable

CHUNK = 1 << 20
Advance = Callable[[int], None]
"""Progress callback: `advance(bytes of the archive done)`."""


def check_archive(archive: Archive, path: Path, *, skip_checksum: bool, advance: Advance) -> str:
    """Compare size and checksum with the published ones, or read the archive to its end where there are none.

    Args:
        archive: What the file should be.
        path: Its path; a folder is not checked.
        skip_checksum: Do not compare size and checksum; read the archive to its end instead.
        advance: Progress callback.

    Returns:
        The result as text.

    Raises:
        ValueError: When size or checksum differ, or the archive is damaged.
    """
    if path.is_dir():
        return "a folder, nothing to check"
    if archive.checksum and not skip_checksum:
        _compare_size(archive, path)
        _compare_checksum(archive, path, advance)
        return f"{archive.checksum.partition(':')[0]} as published ({archive.checksum_from})"
    _read_to_end(path, advance)
    skipped = "checksum skipped" if archive.checksum else "no checksum is published"
    return f"read to its end ({skipped})"


def _compare_size(archive: Archive, path: Path) -> None:
    size = path.stat().st_size
    if archive.size not in (None, size):
        kind = "truncated, or another version" if size < (archive.size or 0) else "another version"
        raise ValueError(
            f"archive {path}: expected {archive.size} bytes, got {size}: {kind} (--skip-checksum accepts it anyway)"
        )


def _compare_checksum(archive: Archive, path: Path, advance: Advance) -> None:
    algorithm, _, expected = archive.checksum.partition(":")
    digest, done = hashlib.new(algorithm, usedforsecurity=False), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            advance(done)
    if digest.hexdigest() != expected:
        raise ValueError(
            f"archive {path}: expected {algorithm} {expected} ({archive.checksum_from}), got {digest.hexdigest()}: "
            f"damaged, or another version (--skip-checksum accepts it anyway)"
        )


def _read_to_end(path: Path, advance: Advance) -> None:
    with readable(path):
        for member in members(path):
            with member.open() as file:
                while file.read(CHUNK):
                    pass
            advance(member.behind())
