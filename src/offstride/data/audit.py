"""A look at every file of a dataset before hours of training depend on it."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from offstride.data.catalog import ClassSet
from offstride.data.decode import read_image, read_mask
from offstride.data.layout import Matching, Pair, abridged, check_folders, match_files, read_classes, split_names

Size = tuple[int, int]


@dataclass
class SplitAudit:
    """What was found in one split. Paths are strings, sizes are (height, width).

    Attributes:
        pairs: Number of images that have a mask.
        smallest: Least height and least width of the images; None when no image could be read.
        largest: Greatest height and greatest width of the images.
        without_label: Images that have no mask.
        without_image: Masks that have no image.
        ambiguous: Files that share their stem with another one.
        unreadable: Path to reason, for each file that cannot be decoded to its end.
        mismatches: Path of the mask to (size of the image, size of the mask), where these differ.
        unknown_values: Path of the mask to the values that stand for no class.
        pixels: Number of pixels of each class.
        images: Number of masks that show each class.
        ignored: Number of pixels that are to be ignored.
        unknown: Number of pixels with unknown values.
    """

    pairs: int = 0
    smallest: Size | None = None
    largest: Size | None = None
    without_label: list[str] = field(default_factory=list)
    without_image: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    mismatches: dict[str, tuple[Size, Size]] = field(default_factory=dict)
    unknown_values: dict[str, list[int]] = field(default_factory=dict)
    pixels: list[int] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    ignored: int = 0
    unknown: int = 0

    @property
    def shares(self) -> list[float]:
        """Share of each class in all pixels of the masks."""
        return [count / max(1, self._total) for count in self.pixels]

    @property
    def ignored_share(self) -> float:
        """Share of ignored pixels in all pixels of the masks."""
        return self.ignored / max(1, self._total)

    @property
    def problems(self) -> list[str]:
        """One sentence per kind of trouble; empty when there is none."""
        mismatches = [f"{path} (mask {mask}, image {image})" for path, (image, mask) in self.mismatches.items()]
        unknown = [f"{path} (values {abridged(values)})" for path, values in self.unknown_values.items()]
        findings = (
            ("images without a mask", self.without_label),
            ("masks without an image", self.without_image),
            ("files that share their stem", self.ambiguous),
            ("unreadable files", list(self.unreadable.values())),
            ("masks of another size than their image", mismatches),
            ("masks with unknown values", unknown),
        )
        empty = [] if self.pairs or self.without_label or self.without_image else ["no images"]
        return empty + [f"{kind} ({len(found)}): {abridged(found)}" for kind, found in findings if found]

    @property
    def _total(self) -> int:
        return sum(self.pixels) + self.ignored + self.unknown


@dataclass
class Audit:
    """What was found in a dataset.

    Attributes:
        root: The folder.
        classes: What the mask values were taken to mean.
        splits: Split name to findings; the name is empty when the files lie in `images` and `labels` directly.
    """

    root: str
    classes: ClassSet
    splits: dict[str, SplitAudit]

    @property
    def problems(self) -> list[str]:
        """One sentence per split and kind of trouble."""
        named = ((f"{name}: " if name else "", split) for name, split in self.splits.items())
        return [prefix + problem for prefix, split in named for problem in split.problems]

    @property
    def ok(self) -> bool:
        """Whether training and evaluation can read every file."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data that JSON can hold."""
        splits = {
            name: asdict(split) | {"shares": split.shares, "ignored_share": split.ignored_share}
            for name, split in self.splits.items()
        }
        summary = {"root": self.root, "ok": self.ok, "problems": self.problems}
        return summary | {"classes": self.classes.to_dict(), "splits": splits}


def audit_folder(
    root: str | Path,
    split: str | None = None,
    classes: ClassSet | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Decode every file of a folder dataset completely and collect whatever would stop or spoil training.

    Bad files are never raised, always collected.

    Args:
        root: Folder in the layout of `FolderDataset`.
        split: The one to look at; all by default.
        classes: What the mask values mean; by default read from the class file in `root`.
        workers: Number of threads; one per processor by default.
        progress: Called with (pairs done, all pairs) after each pair.

    Raises:
        ValueError: When `root` has not got that layout or no such split, or no classes are known.
    """
    root = Path(root)
    check_folders(root, None)
    names = split_names(root)
    if split is not None and split not in names:
        check_folders(root, split)
    classes = classes or read_classes(root)
    matchings = {name: match_files(root, name or None) for name in ((split,) if split else names or ("",))}
    audit = Audit(str(root), classes, {name: _begun(matching, classes) for name, matching in matchings.items()})
    jobs = [(name, pair) for name, matching in matchings.items() for pair in matching.pairs]
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:  # decoders release the interpreter lock
        for done, (name, finding) in enumerate(pool.map(_inspect, jobs), 1):
            _add(audit.splits[name], finding, classes)
            if progress:
                progress(done, len(jobs))
    return audit


@dataclass
class _Finding:
    """What one pair of files holds."""

    pair: Pair
    image: Size | None = None
    mask: Size | None = None
    errors: dict[str, str] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


def _inspect(job: tuple[str, Pair]) -> tuple[str, _Finding]:
    name, pair = job
    finding = _Finding(pair)
    try:
        finding.image = read_image(pair.image).shape[:2]
    except ValueError as error:
        finding.errors[str(pair.image)] = str(error)
    try:
        mask = read_mask(pair.label)
        finding.mask = mask.shape
        values, counts = np.unique(mask, return_counts=True)
        finding.counts = dict(zip(map(int, values), counts.tolist(), strict=True))
    except ValueError as error:
        finding.errors[str(pair.label)] = str(error)
    return name, finding


def _begun(matching: Matching, classes: ClassSet) -> SplitAudit:
    return SplitAudit(
        pairs=len(matching.pairs),
        without_label=[str(path) for path in matching.without_label],
        without_image=[str(path) for path in matching.without_image],
        ambiguous=[str(path) for path in matching.ambiguous],
        pixels=[0] * len(classes),
        images=[0] * len(classes),
    )


def _add(audit: SplitAudit, finding: _Finding, classes: ClassSet) -> None:
    path, counts = str(finding.pair.label), dict(finding.counts)
    audit.unreadable |= finding.errors
    if finding.image:
        audit.smallest = _pairwise(min, audit.smallest or finding.image, finding.image)
        audit.largest = _pairwise(max, audit.largest or finding.image, finding.image)
    if finding.image and finding.mask and finding.image != finding.mask:
        audit.mismatches[path] = (finding.image, finding.mask)
    for index, value in enumerate(classes.values):
        pixels = counts.pop(value, 0)
        audit.pixels[index] += pixels
        audit.images[index] += pixels > 0
    audit.ignored += sum(counts.pop(value, 0) for value in classes.ignore_values)
    audit.unknown += sum(counts.values())
    if counts:
        audit.unknown_values[path] = list(counts)


def _pairwise(choose: Callable[[int, int], int], one: Size, other: Size) -> Size:
    return choose(one[0], other[0]), choose(one[1], other[1])
