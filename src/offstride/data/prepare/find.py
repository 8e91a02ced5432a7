"""Which of the given files is which archive."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from offstride.data.prepare.archives import Archive


def find_archives(archives: Sequence[Archive], given: Sequence[Path]) -> dict[Archive, Path]:
    """Match files to archives by their names.

    Args:
        archives: Of one data set.
        given: Files, each named like an archive, and folders that hold such files next to whatever else.

    Returns:
        Path of each archive that is there, in the order of `archives`.

    Raises:
        ValueError: When a path does not exist, a file has another name, an archive is there twice, or none is there.
    """
    paths: dict[Archive, Path] = {}
    for path in given:
        if not path.exists():
            raise ValueError(f"from: {path} does not exist")
        for archive, match in _matches(archives, path):
            if archive in paths and not paths[archive].samefile(match):
                raise ValueError(f"from: expected {archive.name} once, got {paths[archive]} and {match}")
            paths[archive] = match
    if not paths:
        raise ValueError(f"from: expected {_names(archives)}, found none of them in {', '.join(map(str, given))}")
    return {archive: paths[archive] for archive in archives if archive in paths}


def _matches(archives: Sequence[Archive], path: Path) -> list[tuple[Archive, Path]]:
    """The archives that a file is, or that lie in a folder; the first unpacked copy where there are none."""
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    matches = [(archive, file) for file in files for archive in archives if fnmatch(file.name, archive.name)]
    if not path.is_dir():
        if not matches:
            raise ValueError(f"from: expected a file named {_names(archives)}, got {path}")
        return matches
    copies = [
        (archive, copy)
        for archive in archives
        for copy in (path, *sorted(path.iterdir()))
        if archive.folder and (copy / archive.folder).is_dir()
    ]
    return matches or copies[:1]


def _names(archives: Sequence[Archive]) -> str:
    return " or ".join(archive.name for archive in archives)
