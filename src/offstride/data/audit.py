"""Checks of every file of a dataset before training."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from offstride.data.camvid import CAMVID_IMAGES, camvid_classes
from offstride.data.catalog import ClassSet
from offstride.data.decode import read_image
from offstride.data.findings import Audit, Size, SplitAudit
from offstride.data.layout import Matching, Pair, check_folders, match_files, read_classes, split_names
from offstride.data.official import OfficialSet
from offstride.data.registry import OFFICIAL

Progress = Callable[[int, int], None]


def audit_dataset(
    name: str,
    root: str | Path,
    split: str | None = None,
    classes: ClassSet | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Decode every file of a dataset completely and collect whatever would stop or spoil training.

    Bad files raise no errors, they are collected. `Audit.absent` names the missing splits of published data sets; they
    are errors if `split` is given or all are missing.

    Args:
        name: A name of `build_dataset` other than `"shards"` and `"streets"`, which have no image files.
        root: Folder of the dataset.
        split: A split, or several joined by `+`; all by default.
        classes: What the mask values mean; only for `"folder"`, whose class file is read by default.
        workers: Number of threads; one per processor by default.
        progress: Progress callback: `progress(pairs done, all pairs)` after each pair.

    Raises:
        ValueError: When the name or the split is unknown, or `root` has not got the layout of this dataset.
    """
    if name == "folder":
        return audit_folder(root, split, classes, workers, progress)
    if classes is not None:
        raise ValueError(f"classes: expected none for {name!r}, which has its own")
    if name == "camvid":
        audit = audit_folder(root, split, camvid_classes(Path(root)), workers, progress)
        for split_name, split_audit in audit.splits.items():
            split_audit.official = CAMVID_IMAGES.get(split_name)
        return audit
    if name not in OFFICIAL:
        raise ValueError(f"name: expected one of {('folder', 'camvid', *OFFICIAL)}, got {name!r}")
    return _audit_official(OFFICIAL[name], Path(root), split, workers, progress)


def audit_folder(
    root: str | Path,
    split: str | None = None,
    classes: ClassSet | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Audit a folder in the layout of `FolderDataset`: `audit_dataset("folder", …)`, whose arguments it takes.

    Raises:
        ValueError: When `root` has not got that layout or no such split, or no classes are known.
    """
    root = Path(root)
    check_folders(root, None)
    names = split_names(root)
    wanted = names or ("",) if split is None else split.split("+")
    for name in wanted if split is not None else ():
        if name not in names:
            check_folders(root, name)
    classes = classes or read_classes(root)
    return _audit(root, classes, {name: match_files(root, name or None) for name in wanted}, workers, progress)


def _audit_official(
    official: OfficialSet, root: Path, split: str | None, workers: int | None, progress: Progress | None
) -> Audit:
    given = tuple(official.counts) if split is None else split.split("+")
    names = [name for part in given for name in official.joins.get(part, part).split("+")]
    matchings, absent = {}, {}
    for name in names:
        try:
            matchings[name] = official.match(root, name)
        except ValueError as error:
            absent[name] = str(error)
    if absent and (split is not None or not matchings):
        raise ValueError(next(iter(absent.values())))
    audit = _audit(root, official.classes, matchings, workers, progress)
    audit.absent = absent
    for name, split_audit in audit.splits.items():
        split_audit.official = official.counts[name]
    return audit


def _audit(
    root: Path, classes: ClassSet, matchings: Mapping[str, Matching], workers: int | None, progress: Progress | None
) -> Audit:
    audit = Audit(str(root), classes, {name: _initial(matching, classes) for name, matching in matchings.items()})
    jobs = [(name, pair, matching.read) for name, matching in matchings.items() for pair in matching.pairs]
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:  # decoders release the interpreter lock
        findings = pool.map(lambda job: _inspect(*job[1:]), jobs)
        for done, ((name, _, _), finding) in enumerate(zip(jobs, findings, strict=True), 1):
            _add(audit.splits[name], finding, classes)
            if progress:
                progress(done, len(jobs))
    return audit


@dataclass
class _Finding:
    """The contents of one pair of files."""

    pair: Pair
    image: Size | None = None
    mask: Size | None = None
    errors: dict[str, str] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


def _inspect(pair: Pair, read: Callable[[Pair], np.ndarray]) -> _Finding:
    finding = _Finding(pair)
    try:
        finding.image = read_image(pair.image).shape[:2]
    except ValueError as error:
        finding.errors[str(pair.image)] = str(error)
    if pair.label is None:
        return finding
    try:
        mask = read(pair)
        finding.mask = mask.shape
        values, counts = np.unique(mask, return_counts=True)
        finding.counts = dict(zip(map(int, values), counts.tolist(), strict=True))
    except ValueError as error:
        finding.errors[_label_name(pair)] = str(error)
    return finding


def _initial(matching: Matching, classes: ClassSet) -> SplitAudit:
    return SplitAudit(
        pairs=len(matching.pairs),
        without_label=list(map(str, matching.without_label)),
        without_image=list(map(str, matching.without_image)),
        ambiguous=list(map(str, matching.ambiguous)),
        missing=list(map(str, matching.missing)),
        pixels=[0] * len(classes),
        images=[0] * len(classes),
    )


def _add(audit: SplitAudit, finding: _Finding, classes: ClassSet) -> None:
    path, counts = _label_name(finding.pair), dict(finding.counts)
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


def _label_name(pair: Pair) -> str:
    """The label file, with the name of the sample if one file holds all labels."""
    if pair.label is None or pair.label.suffix != ".json":
        return str(pair.label)
    return f"{pair.label}, {pair.name}"


def _pairwise(choose: Callable[[int, int], int], one: Size, other: Size) -> Size:
    return choose(one[0], other[0]), choose(one[1], other[1])
