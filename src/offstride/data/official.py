"""Published data sets in the folders of their archives."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from offstride.data.catalog import ClassSet
from offstride.data.files import FileDataset
from offstride.data.layout import Matching, Pair, check_complete, check_root, read_pair


@dataclass(frozen=True)
class OfficialSet:
    """A published data set.

    Attributes:
        name: Its name in recipes and on the command line.
        classes: Names, colours, label values and ignored values.
        counts: Number of images of each split; None where no exact number is published.
        find: From the root folder and a split to its files; a `ValueError` if folders or lists are missing.
        joins: Splits that consist of others: name to their names, joined by `+`.
        unlabelled: Splits whose labels are not public.
    """

    name: str
    classes: ClassSet
    counts: Mapping[str, int | None]
    find: Callable[[Path, str], Matching]
    joins: Mapping[str, str] = field(default_factory=dict)
    unlabelled: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of all splits."""
        return (*self.counts, *self.joins)

    def match(self, root: Path, split: str) -> Matching:
        """The files of one split that does not join others, complete or not.

        Raises:
            ValueError: When there is no such split, or its folders or lists are missing.
        """
        if split not in self.counts:
            known = ", ".join(map(repr, self.splits))
            raise ValueError(f"split: expected one of {known} for {self.name!r}, got {split!r}")
        check_root(root)
        return self.find(root, split)

    def open(self, root: str | Path, split: str | None) -> FileDataset:
        """Open one split that does not join others.

        Raises:
            ValueError: As `match` does, and when images or labels are missing.
        """
        matching = self.match(Path(root), split or "")
        check_complete(matching, "the folder of labels", "the folder of images")
        if not matching.pairs:
            raise ValueError(f"root: no images of split {split!r} of {self.name!r} in {root}")
        return FileDataset(matching.pairs, self.classes, matching.read)


def match_listed(
    entries: Iterable[tuple[str, Iterable[Path], Iterable[Path] | None]],
    read: Callable[[Pair], np.ndarray] = read_pair,
) -> Matching:
    """Match files that a list names.

    Args:
        entries: Name, possible paths of its image, and possible paths of its label, in order of preference; None for
            images whose labels are not public.
        read: From a pair to the values of its label.
    """
    names_in = cache(_names_in)  # listing each folder once is much faster than testing every file

    def exists(path: Path) -> bool:
        return path.name in names_in(path.parent)

    def first(paths: Iterable[Path]) -> Path:
        """The first path that exists, or else the first one."""
        candidates = tuple(paths)
        return next(filter(exists, candidates), candidates[0])

    pairs, without_label, missing = [], [], []
    for name, images, labels in entries:
        image = first(images)
        label = None if labels is None else first(labels)
        if not exists(image):
            missing.append(image)
        elif label is not None and not exists(label):
            without_label.append(image)
        else:
            pairs.append(Pair(name, image, label))
    return Matching(tuple(pairs), without_label=tuple(without_label), missing=tuple(missing), read=read)


def read_list(path: Path) -> list[str]:
    """The names in a list file: the first word of each line, without folder and suffix.

    Raises:
        ValueError: When there is no such file or it names nothing.
    """
    if not path.is_file():
        raise ValueError(f"root: expected the list {path}, which is missing")
    names = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    if not names:
        raise ValueError(f"root: expected names in the list {path}, which is empty")
    return [Path(name).name.removesuffix(".jpg") for name in names]


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
