"""Unpacks an archive under a root; every file is written atomically."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from offstride.data.prepare.archives import Archive
from offstride.data.prepare.check import CHUNK, Advance
from offstride.data.prepare.members import Member, members, readable
from offstride.files import write_whole

BLOCK = 4096
"""Block size of file systems in bytes: the space that the smallest file takes."""


@dataclass(frozen=True)
class Survey:
    """Files that unpacking an archive would write.

    Attributes:
        files: Number of files of the archive that the data set needs.
        missing: Number of these that do not exist yet.
        space: Bytes that the missing ones take on the disk.
    """

    files: int
    missing: int
    space: int


def survey(archive: Archive, path: Path, root: Path, *, begun: int | None) -> Survey:
    """Check all names and sizes before anything is written.

    Args:
        archive: The archive.
        path: Its file.
        root: Folder of the data set.
        begun: When unpacking it began, see `Journal`; None if it has not.

    Raises:
        ValueError: When a member is unsafe, the archive damaged, or nothing in it belongs to the data set.
    """
    files = missing = space = 0
    with readable(path):
        for member, target in _placed(archive, path, root):
            files += 1
            if not _is_there(member, target, begun):
                missing += 1
                space += -(-member.size // BLOCK) * BLOCK
    if not files:
        raise ValueError(f"archive {path}: expected files that become {root / archive.shows}, found none")
    return Survey(files, missing, space)


def unpack(archive: Archive, path: Path, root: Path, *, begun: int | None, advance: Advance) -> None:
    """Write the missing members, each atomically: this can be stopped at any time.

    Arguments and errors are those of `survey`; `advance` is the progress callback.
    """
    with readable(path):
        for member, target in _placed(archive, path, root):
            if not _is_there(member, target, begun):
                _write(member, target)
            advance(member.behind())


def _placed(archive: Archive, path: Path, root: Path) -> Iterator[tuple[Member, Path]]:
    for member in members(path):
        place = archive.place(member.name)
        if place is not None:
            yield member, root / place


def _is_there(member: Member, target: Path, begun: int | None) -> bool:
    if begun is None or not target.is_file():
        return False
    status = target.stat()
    return status.st_size == member.size and status.st_mtime_ns >= begun


def _write(member: Member, target: Path) -> None:
    with write_whole(target, sync=False) as temporary:  # an archive has up to 100,000 files
        with member.open() as source, temporary.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK)
        if temporary.stat().st_size != member.size:
            raise EOFError(f"member {member.name} ends early")
