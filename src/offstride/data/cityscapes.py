"""Cityscapes (Cordts et al., CVPR 2016), as `leftImg8bit_trainvaltest.zip`, `gtFine_…`, `gtCoarse` … unpack.

`leftImg8bit/{split}/CITY/NAME_leftImg8bit.png` with `gtFine/{split}/CITY/NAME_gtFine_labelIds.png`, or
`…_labelTrainIds.png` where there are no label ids.
"""

from pathlib import Path

import numpy as np

from offstride.data.catalog_published import CITYSCAPES_19
from offstride.data.layout import Matching, Pair, find_folder, read_pair
from offstride.data.official import OfficialSet, match_listed
from offstride.ops.labels import IGNORE_INDEX

_IMAGE = "_leftImg8bit.png"
_KINDS = ("labelIds", "labelTrainIds")
_COARSE = {"train_coarse": "train", "train_extra": "train_extra"}  # splits with coarse labels, and their folders


def find_cityscapes(root: Path, split: str) -> Matching:
    """The files of a split; `train_extra` has coarse labels, the others fine ones. `train_coarse` is the images of
    `train` with coarse labels.

    Names are `CITY_SEQUENCE_FRAME`. The archive has label files for `test`, too, but they show no classes: they are
    left alone.
    """
    folder = _COARSE.get(split, split)
    images = find_folder(root, (f"leftImg8bit/{folder}",), f"the images of {split!r}")
    if split == "test":
        return match_listed((_name(path), [path], None) for path in _cities(images, _IMAGE))
    truth = "gtCoarse" if split in _COARSE else "gtFine"
    labels = find_folder(root, (f"{truth}/{folder}",), f"the labels of {split!r}")
    pictured = [_name(path) for path in _cities(images, _IMAGE)]
    labelled = {
        path.name.removesuffix(f"_{truth}_{kind}.png") for kind in _KINDS for path in _cities(labels, f"_{kind}.png")
    }
    entries = []
    for name in sorted({*pictured, *labelled}):
        city = name.rsplit("_", 2)[0]
        files = [labels / city / f"{name}_{truth}_{kind}.png" for kind in _KINDS]
        entries.append((name, [images / city / f"{name}{_IMAGE}"], files))
    return match_listed(entries, _read)


def _cities(folder: Path, suffix: str) -> list[Path]:
    """Files of all cities that end like `suffix`, sorted."""
    return sorted(folder.glob(f"*/*{suffix}"))


def _name(image: Path) -> str:
    return image.name.removesuffix(_IMAGE)


def _read(pair: Pair) -> np.ndarray:
    """Label ids; train ids are converted to them."""
    values = read_pair(pair)
    if pair.label is None or not pair.label.stem.endswith("labelTrainIds"):
        return values
    table = np.full(256, -1, np.int16)
    table[: len(CITYSCAPES_19)] = CITYSCAPES_19.values
    table[IGNORE_INDEX] = 0
    ids = table[values]
    if (ids < 0).any():
        unknown = np.unique(values[ids < 0]).tolist()
        raise ValueError(f"mask {pair.label}: expected train ids 0-18, 255, got also {unknown}")
    return ids


CITYSCAPES = OfficialSet(
    name="cityscapes",
    classes=CITYSCAPES_19,
    counts={"train": 2975, "val": 500, "test": 1525, "train_coarse": 2975, "train_extra": 19998},
    find=find_cityscapes,
    joins={"trainval": "train+val"},
    unlabelled=("test",),
)
"""Cityscapes in the 19 classes of its benchmark; the 15 other label ids (0 … 33) are ignored."""
