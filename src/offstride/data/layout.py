"""The folders of a dataset: `images/{split}/NAME.jpg`, `labels/{split}/NAME.png`, and a class file above both."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offstride.data.catalog import ClassSet
from offstride.data.decode import read_mask

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp")
LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")  # lossless formats only
LABEL_FOLDERS = ("labels", "masks")
CLASS_FILES = ("classes.json", "classes.yaml", "classes.yml")


@dataclass(frozen=True)
class Pair:
    """The two files of a sample; the label is None in test splits whose labels are not public."""

    name: str
    image: Path
    label: Path | None


def read_pair(pair: Pair) -> np.ndarray:
    """The values of a label that is a mask file."""
    if pair.label is None:
        raise ValueError(f"file {pair.image}: expected a label, there is none")
    return read_mask(pair.label)


@dataclass(frozen=True)
class Matching:
    """The files of a split, matched by stem or by a list.

    Attributes:
        pairs: Sorted by name, or in the order of the list.
        without_label: Images without a mask.
        without_image: Masks without an image.
        ambiguous: Files that share their stem with another one of their folder.
        missing: Images in the list of the split that do not exist.
        read: From a pair to the values of its label.
    """

    pairs: tuple[Pair, ...]
    without_label: tuple[Path, ...] = ()
    without_image: tuple[Path, ...] = ()
    ambiguous: tuple[Path, ...] = ()
    missing: tuple[Path, ...] = ()
    read: Callable[[Pair], np.ndarray] = read_pair


def match_files(root: Path, split: str | None) -> Matching:
    """Match the image and mask files of a split; a missing folder counts as an empty one."""
    return match_folders(root / "images" / (split or ""), label_folder(root) / (split or ""))


def match_folders(image_folder: Path, label_folder: Path) -> Matching:
    """Match the images of one folder and the masks of another by stem; a missing folder counts as an empty one."""
    images, labels = files_in(image_folder, IMAGE_SUFFIXES), files_in(label_folder, LABEL_SUFFIXES)
    image_of, label_of = ({path.stem: path for path in paths} for paths in (images, labels))
    return Matching(
        pairs=tuple(Pair(stem, image_of[stem], label_of[stem]) for stem in sorted(image_of.keys() & label_of.keys())),
        without_label=tuple(path for path in images if path.stem not in label_of),
        without_image=tuple(path for path in labels if path.stem not in image_of),
        ambiguous=(*_ambiguous(images), *_ambiguous(labels)),
    )


def list_pairs(root: Path, split: str | None) -> tuple[Pair, ...]:
    """The complete pairs of a split; a `ValueError` when there are none, or any file is left over."""
    check_folders(root, split)
    matching = match_files(root, split)
    images, labels = root / "images" / (split or ""), label_folder(root) / (split or "")
    check_complete(matching, labels, images)
    if not matching.pairs and split is None and split_names(root):
        raise ValueError(f"split: expected one of {_quoted(split_names(root))}, got None")
    if not matching.pairs:
        raise ValueError(f"root: no images ({', '.join(IMAGE_SUFFIXES)}) in {images}")
    return matching.pairs


def check_complete(matching: Matching, labels: object, images: object) -> None:
    """Raise a `ValueError` when any file is missing or left over; `labels` and `images` say where they should be."""
    for paths, trouble in (
        (matching.missing, "images that the list of the split names are missing"),
        (matching.without_label, f"images without a mask of the same stem in {labels}"),
        (matching.without_image, f"masks without an image of the same stem in {images}"),
        (matching.ambiguous, "files that share their stem"),
    ):
        if paths:
            raise ValueError(f"root: {trouble} ({len(paths)}): {abridged(paths)}")


def check_folders(root: Path, split: str | None) -> None:
    """Raise a `ValueError` unless `root` holds images and labels and, if one is named, that split of both."""
    check_root(root)
    labels = label_folder(root)
    if not (root / "images").is_dir() or not labels.is_dir():
        raise ValueError(f"root: expected the folders images and labels (or masks) in {root}, found {_contents(root)}")
    for folder in (root / "images", labels):
        if split is not None and split not in _subfolders(folder):
            known = _quoted(split_names(root)) or "None (images lie directly in their folder)"
            raise ValueError(f"split: expected one of {known}, got {split!r}: there is no {folder / split}")


def check_root(root: Path) -> None:
    """Raise a `ValueError` unless `root` is a folder."""
    if not root.is_dir():
        raise ValueError(f"root: expected a folder, got {root}, which is none")


def find_folder(root: Path, places: Iterable[str], what: str) -> Path:
    """The first of some folders, relative to `root`, that exists; a `ValueError` when there is none."""
    check_root(root)
    places = tuple(places)
    folder = next((root / place for place in places if (root / place).is_dir()), None)
    if folder is None:
        raise ValueError(f"root: expected {what} ({' or '.join(places)}) in {root}, found {_contents(root)}")
    return folder


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files of a folder with one of the suffixes, sorted; empty without the folder."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in paths if path.suffix.lower() in suffixes and path.name[0] != ".")


def split_names(root: Path) -> tuple[str, ...]:
    """Names of the splits: subfolders of `images` or of `labels`; none when the files are in them directly."""
    return tuple(sorted(_subfolders(root / "images") | _subfolders(label_folder(root))))


def label_folder(root: Path) -> Path:
    """The folder of the masks: `labels` or `masks`."""
    return next((root / name for name in LABEL_FOLDERS if (root / name).is_dir()), root / LABEL_FOLDERS[0])


def class_file(root: Path) -> Path | None:
    """The class file in `root`, if any."""
    return next((root / name for name in CLASS_FILES if (root / name).is_file()), None)


def read_classes(root: Path) -> ClassSet:
    """The class set that the class file in `root` describes; a `ValueError` when there is no such file."""
    path = class_file(root)
    if path is None:
        raise ValueError(f"classes: none were given, and {root} holds none of {', '.join(CLASS_FILES)}")
    return ClassSet.from_file(path)


def abridged(items: Iterable[object], limit: int = 5) -> str:
    """The first few items, for a message, and how many more there are."""
    shown = [str(item) for item in items]
    return ", ".join(shown[:limit]) + (f" and {len(shown) - limit} more" if len(shown) > limit else "")


def _subfolders(folder: Path) -> set[str]:
    paths = folder.iterdir() if folder.is_dir() else ()
    return {path.name for path in paths if path.is_dir() and path.name[0] != "."}


def _contents(folder: Path) -> str:
    return abridged(sorted(path.name for path in folder.iterdir() if path.name[0] != "."), limit=12) or "nothing"


def _ambiguous(paths: list[Path]) -> list[Path]:
    count = Counter(path.stem for path in paths)
    return [path for path in paths if count[path.stem] > 1]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
