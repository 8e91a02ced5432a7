"""Unpacks the published archives of a data set into the folders that `build_dataset` reads."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from offstride.data.prepare.archives import Archive, archives_of, find_archives
from offstride.data.prepare.check import check_archive
from offstride.data.prepare.journal import Journal
from offstride.data.prepare.unpack import survey, unpack

RESERVE = 64 << 20
"""Bytes of the disk that stay free."""


@dataclass
class Prepared:
    """State of a data set.

    Attributes:
        unpacked: Name and number of files of each archive that this run or an earlier one has unpacked.
        ready: Splits whose archives are all unpacked.
        missing: Split to the archives that it still needs; splits that need none are left out.
    """

    unpacked: dict[str, int] = field(default_factory=dict)
    ready: tuple[str, ...] = ()
    missing: dict[str, tuple[Archive, ...]] = field(default_factory=dict)


def prepare_dataset(
    name: str,
    given: Sequence[str | Path],
    root: str | Path,
    *,
    skip_checksum: bool = False,
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> Prepared:
    """Check and unpack the archives of a data set.

    All archives are checked before any is unpacked. This can be stopped at any time and called again:
    finished steps are not repeated, unfinished ones are. Calling it once more, with further archives, adds to the root.

    Args:
        name: `"voc2012"`, `"pascal_context"`, `"ade20k"`, `"cityscapes"`, `"coco_stuff10k"`, `"coco_stuff164k"`,
            `"coco_voc"` or `"camvid"`.
        given: Archives under their official names, or folders that hold them.
        root: Folder that receives the files, made where there is none.
        skip_checksum: Do not compare sizes and checksums; archives are then read to their end instead.
        progress: Progress callback: `progress(bytes done, all bytes)`.
        note: Called with a line of text after each archive is checked, and after it is unpacked.

    Raises:
        ValueError: When the name is unknown; an archive is missing, of another name, truncated, damaged, of another
            checksum, or holds unsafe members; or the disk is too small.
    """
    root, archives = Path(root), archives_of(name)
    note = note or (lambda line: None)
    paths = find_archives(archives, [Path(path) for path in given])
    root.mkdir(parents=True, exist_ok=True)
    journal = Journal(root)
    meter = _Meter(paths, progress)
    for archive, path in paths.items():
        check = _check(archive, path, journal, skip_checksum=skip_checksum, meter=meter)
        meter.finish(path)
        note(f"{path.name}: {check}")
    surveys = {a: survey(a, path, root, begun=journal.begun(a, path)) for a, path in paths.items()}
    _check_space(root, sum(files.space for files in surveys.values()))
    for archive, path in paths.items():
        files, missing = surveys[archive].files, surveys[archive].missing
        if missing:
            begun = journal.begun(archive, path)
            journal.note_begun(archive, path)
            unpack(archive, path, root, begun=begun, advance=meter.advance)
        meter.finish(path)
        note(f"{path.name}: files written: {missing} of {files}{', the others were there' if missing < files else ''}")
    return _summary(archives, root, {archive.name: surveys[archive].files for archive in paths})


def _check(archive: Archive, path: Path, journal: Journal, *, skip_checksum: bool, meter: "_Meter") -> str:
    """Check an archive unless an earlier call has; returns the result as text."""
    if earlier := journal.earlier_check(archive, path, checksum=not skip_checksum):
        return f"{earlier}, checked before"
    check = check_archive(archive, path, skip_checksum=skip_checksum, advance=meter.advance)
    journal.note_check(archive, path, check, checksum_skipped=skip_checksum and bool(archive.checksum))
    return check


def _check_space(root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free - RESERVE
    if needed > free:
        raise ValueError(
            f"root: expected {needed / 1e9:.2f} GB of free space for the files to be written, "
            f"got {max(0, free) / 1e9:.2f} GB in {root}"
        )


def _summary(archives: Sequence[Archive], root: Path, unpacked: dict[str, int]) -> Prepared:
    splits = tuple(dict.fromkeys(split for archive in archives for split in archive.splits))
    missing = {
        split: tuple(a for a in archives if split in a.splits and not (root / a.shows).exists()) for split in splits
    }
    ready = tuple(split for split in splits if not missing[split])
    return Prepared(unpacked, ready, {split: needed for split, needed in missing.items() if needed})


class _Meter:
    """Sums the progress of all steps: each archive is read twice, to check and to unpack it."""

    def __init__(self, paths: dict[Archive, Path], progress: Callable[[int, int], None] | None) -> None:
        self.total = 2 * sum(map(_size, paths.values()))
        self.before, self.progress = 0, progress or (lambda done, total: None)

    def advance(self, done: int) -> None:
        self.progress(min(self.before + done, self.total), self.total)

    def finish(self, path: Path) -> None:
        self.before += _size(path)
        self.advance(0)


def _size(path: Path) -> int:
    """Size of an archive, or of the files in a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
