"""PASCAL Context: every pixel of the images of VOC 2010 (Mottaghi et al., CVPR 2014), in 59 classes or with background.

Three distributions are read, the first that exists in `VOC2010` or in the root:

- `59_context_labels/NAME.png`: the 59 classes of the authors; 0 is everything else, 1 … 59 follow their
  `59_labels.txt`;
- `SegmentationClassContext/NAME.png`: masks derived from `trainval_merged.json` of PASCAL in Detail; 0 is everything
  else, 1 … 59 are the same classes by ascending number of the 459 (alphabetically);
- `trainval/NAME.mat`: the 459 categories of the authors (`LabelMap`, numbered as in their `labels.txt`), from which the
  59 are taken.

The split is `ImageSets/SegmentationContext/{split}.txt` where there is one, or else the train and val lists of VOC
2010, `ImageSets/Main/{split}.txt`: 4998 and 5105 images.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from offstride.data.catalog_published import PASCAL_CONTEXT_59, PASCAL_CONTEXT_60
from offstride.data.layout import Matching, Pair, find_folder, read_pair
from offstride.data.matlab import label_map, read_mat
from offstride.data.official import OfficialSet, match_listed, read_list
from offstride.data.voc import voc_folder

_SUFFIXES = {"59_context_labels": ".png", "SegmentationClassContext": ".png", "trainval": ".mat"}
_CATEGORIES = 459

CONTEXT_IDS = (
    2, 23, 25, 31, 34, 45, 59, 65, 72, 98, 397, 113, 207, 258, 284, 308, 347, 368, 416, 427, 9, 18, 22, 33, 44, 46, 68,
    80, 85, 104, 115, 144, 158, 159, 162, 187, 189, 220, 232, 259, 260, 105, 296, 355, 295, 324, 326, 349, 354, 360,
    366, 19, 415, 420, 424, 440, 445, 454, 458,
)  # fmt: skip
"""The numbers of the 59 classes among the 459 categories of `labels.txt`, where three of them have another name:
diningtable is table (397), clothes is cloth (80), bedcloth is bedclothes (19)."""


def find_context(root: Path, split: str) -> Matching:
    """The files of a split, in whichever distribution is there."""
    voc = voc_folder(root, 2010)
    folder = next((base / name for name in _SUFFIXES for base in (voc, root) if (base / name).is_dir()), None)
    folder = folder or find_folder(voc, _SUFFIXES, "the labels of PASCAL Context")
    derived = voc / "ImageSets" / "SegmentationContext" / f"{split}.txt"
    names = read_list(derived if derived.is_file() else voc / "ImageSets" / "Main" / f"{split}.txt")
    suffix = _SUFFIXES[folder.name]
    entries = ((name, [voc / "JPEGImages" / f"{name}.jpg"], [folder / f"{name}{suffix}"]) for name in names)
    return match_listed(entries, _read)


def _read(pair: Pair) -> np.ndarray:
    """0 for everything that is none of the 59 classes, and 1 … 59 in the order of the authors."""
    path = pair.label
    if path is None or path.parent.name == "59_context_labels":
        return read_pair(pair)
    if path.suffix == ".mat":
        return _translate(path, label_map(path, read_mat(path, "LabelMap")["LabelMap"]), CONTEXT_IDS, _CATEGORIES)
    order = np.argsort(CONTEXT_IDS)
    return _translate(path, read_pair(pair), (np.argsort(order) + 1).tolist(), len(CONTEXT_IDS))


def _translate(path: Path, values: np.ndarray, ids: Sequence[int], largest: int) -> np.ndarray:
    """Class i, counted from 1, where the value is `ids[i - 1]`; 0 where it is another one up to `largest`."""
    if values.size and not 0 <= int(values.min()) <= int(values.max()) <= largest:
        raise ValueError(f"mask {path}: expected values 0-{largest}, got {values.min()} … {values.max()}")
    table = np.zeros(largest + 1, np.uint8)
    table[list(ids)] = np.arange(1, len(ids) + 1)
    return table[values]


_COUNTS = {"train": 4998, "val": 5105}

CONTEXT59 = OfficialSet("pascal_context59", PASCAL_CONTEXT_59, _COUNTS, find_context, {"trainval": "train+val"})
"""PASCAL Context in 59 classes; everything else is ignored. The protocol of EncNet and LaU."""

CONTEXT60 = OfficialSet("pascal_context60", PASCAL_CONTEXT_60, _COUNTS, find_context, {"trainval": "train+val"})
"""PASCAL Context in 59 classes and background, which is everything else; nothing is ignored."""
