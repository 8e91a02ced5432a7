"""Finished steps of preparing a data set, kept in its root, so that it can be stopped at any time and continued."""

import json
from pathlib import Path
from typing import Any

from offstride.data.prepare.archives import Archive
from offstride.files import write_text

NAME = ".offstride-prepare.json"


class Journal:
    """Name of the file, result of its check and start of its unpacking, for each archive.

    A file under the root counts as complete only if it has the size of its member and was written after the unpacking
    of this very archive began: it was then written atomically. An archive whose name, size or modification time differs
    from the journal's is another one: it is checked again and all its files are written again.

    Args:
        root: Folder of the data set; the journal is a hidden file in it.

    Raises:
        ValueError: When the file is there and is no journal.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / NAME
        self._entries: dict[str, dict[str, Any]] = _read(self.path) if self.path.exists() else {}

    def earlier_check(self, archive: Archive, path: Path, *, checksum: bool) -> str | None:
        """The result of an earlier check of this file; None without one.

        Args:
            archive: The archive.
            path: Its file.
            checksum: Ignore checks that skipped a published checksum.
        """
        entry = self._entry(archive, path)
        return None if checksum and entry.get("checksum_skipped") else entry.get("check")

    def begun(self, archive: Archive, path: Path) -> int | None:
        """When unpacking this file began, in nanoseconds of the clock of the root's file system; None if it has not."""
        return self._entry(archive, path).get("begun")

    def note_check(self, archive: Archive, path: Path, check: str, *, checksum_skipped: bool) -> None:
        entry = {"check": check, "checksum_skipped": checksum_skipped, "begun": self.begun(archive, path)}
        self._entries[archive.name] = _stamp(path) | entry
        self._write()

    def note_begun(self, archive: Archive, path: Path) -> None:
        """Note the time, unless unpacking this file has begun."""
        if self.begun(archive, path) is None:
            self._write()  # its time is the file system's own
            self._entries[archive.name] = self._entry(archive, path) | {"begun": self.path.stat().st_mtime_ns}
            self._write()

    def _entry(self, archive: Archive, path: Path) -> dict[str, Any]:
        """The entry of this very file, or a new one."""
        entry = self._entries.get(archive.name, {})
        stamp = _stamp(path)
        return entry if {key: entry.get(key) for key in stamp} == stamp else stamp

    def _write(self) -> None:
        write_text(self.path, json.dumps({"archives": self._entries}, indent=2) + "\n")


def _stamp(path: Path) -> dict[str, Any]:
    """Name, size and modification time, which differ when a file is replaced."""
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
