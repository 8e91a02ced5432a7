"""The archives in which the data sets are published: names, sizes, checksums, and what each one is needed for.

`archives.json` lists them, with the fields of `Archive`. Checksums are those that public loaders check the same files
against, and say where they come from: torchvision (`datasets/voc.py`, `datasets/sbd.py`), TensorFlow Datasets
(`url_checksums/ade20k.txt`, `coco.txt`, `voc.txt`) and GluonCV (`scripts/datasets/ade20k.py`, `cityscapes.py`). Where
no trustworthy one is published the field is missing; such an archive is only read to its end, which finds truncation
and damage, not another version.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Archive:
    """One published file.

    Attributes:
        name: Its official name; it may hold the wildcard `*` where there is none.
        splits: Splits that need it; without those that join others.
        shows: A path under the root that exists once it has been unpacked.
        url: Where it is published.
        checksum: `algorithm:hexadecimal digits`, empty where none is published.
        checksum_from: Who publishes the checksum.
        size: In bytes; None where it is not published.
        moves: Regular expressions for the whole path of a member, each with its path under the root. The first match
            counts; members without one are not needed. Empty: all members keep their paths.
        folder: A folder that marks an unpacked copy, which is then taken instead of the file; empty where none is.
    """

    name: str
    splits: tuple[str, ...]
    shows: str
    url: str
    checksum: str = ""
    checksum_from: str = ""
    size: int | None = None
    moves: tuple[tuple[str, str], ...] = ()
    folder: str = ""

    def place(self, member: str) -> str | None:
        """The path of a member under the root of the data set; None if it is not needed."""
        if not self.moves:
            return member
        matches = ((re.fullmatch(pattern, member), place) for pattern, place in self.moves)
        return next((match.expand(place) for match, place in matches if match), None)


def _read(path: Path) -> dict[str, tuple[Archive, ...]]:
    """The archives of each data set."""
    layout = json.loads(path.read_text(encoding="utf-8"))
    archives = {
        name: Archive(name, tuple(fields.pop("splits")), moves=tuple(fields.pop("moves", {}).items()), **fields)
        for name, fields in layout["archives"].items()
    }
    return {name: tuple(archives[archive] for archive in names) for name, names in layout["data_sets"].items()}


ARCHIVES = _read(Path(__file__).with_suffix(".json"))
ALIASES = {"pascal_context59": "pascal_context", "pascal_context60": "pascal_context"}


def archives_of(name: str) -> tuple[Archive, ...]:
    """The archives of a data set.

    Raises:
        ValueError: When no data set has this name.
    """
    if ALIASES.get(name, name) not in ARCHIVES:
        raise ValueError(f"name: expected one of {(*ARCHIVES, *ALIASES)}, got {name!r}")
    return ARCHIVES[ALIASES.get(name, name)]


def find_archives(archives: Sequence[Archive], given: Sequence[Path]) -> dict[Archive, Path]:
    """Match files to archives by their names.

    Args:
        archives: Of one data set.
        given: Files named like archives, and folders that contain such files, possibly among others.

    Returns:
        Path of each archive that was given, in the order of `archives`.

    Raises:
        ValueError: When a path does not exist, a file has another name, an archive is given twice, or none is.
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
