"""What has been done under a root, so that preparing can be stopped at any time and continued."""

import json
from pathlib import Path
from typing import Any

from offstride.data.prepare.archives import Archive
from offstride.files import write_text

NAME = ".offstride-prepare.json"


class Journal:
    """Per archive: which file it was, what its check found, and since when it is being unpacked.

    A file under the root is taken as complete only if it has the size of its member and was written since the unpacking
    of just this archive began, for then it was put there whole, by renaming. An archive whose name, size or time of
    change differs from the journal's is another one: it is checked again and all its files are written again.

    Args:
        root: Folder of the data set; the journal is a hidden file in it.

    Raises:
        ValueError: When the file is there and is no journal.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / NAME
        self._entries: dict[str, dict[str, Any]] = {}
        if self.path.exists():
            self._entries = _read(self.path)

    def found(self, archive: Archive, path: Path, *, checksum: bool) -> str | None:
        """What an earlier check of this file found; None without one.

        Args:
            archive: Which one.
            path: Where it lies.
            checksum: Whether checks that left a published checksum out do not count.
        """
        entry = self._entry(archive, path)
        return None if checksum and entry.get("checksum_skipped") else entry.get("check")

    def begun(self, archive: Archive, path: Path) -> int | None:
        """Since when this file is being unpacked, in nanoseconds of the clock of the root's file system."""
        return self._entry(archive, path).get("begun")

    def note_check(self, archive: Archive, path: Path, check: str, *, checksum_skipped: bool) -> None:
        entry = {"check": check, "checksum_skipped": checksum_skipped, "begun": self.begun(archive, path)}
        self._entries[archive.name] = _stamp(path) | entry
        self._write()

    def note_begun(self, archive: Archive, path: Path) -> None:
        """Begin to unpack a file, unless that has begun."""
        if self.begun(archive, path) is None:
            self._write()  # its time is the file system's own
            self._entries[archive.name] = self._entry(archive, path) | {"begun": self.path.stat().st_mtime_ns}
            self._write()

    def _entry(self, archive: Archive, path: Path) -> dict[str, Any]:
        """What is known of this very file."""
        entry = self._entries.get(archive.name, {})
        stamp = _stamp(path)
        return entry if {key: entry.get(key) for key in stamp} == stamp else stamp

    def _write(self) -> None:
        write_text(self.path, json.dumps({"archives": self._entries}, indent=2) + "\n")


def _stamp(path: Path) -> dict[str, Any]:
    """What tells a file from another one that was put in its place."""
    status = path.stat()
    return {"file": path.name, "size": status.st_size, "changed": status.st_mtime_ns}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(path.read_text())["archives"]
        if not all(isinstance(entry, dict) for entry in entries.values()):
            raise TypeError("entries are not mappings")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"root: {path} is not a journal of this command ({error}); remove it to begin anew") from error
    return entries
