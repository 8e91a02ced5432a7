"""COCO-Stuff (Caesar et al., CVPR 2018): 80 things and 91 stuff classes on images of COCO, 10k and 164k releases.

Both number the classes as the authors' `labels.txt` does, 1 … 182, where 11 of the 91 things of COCO were never
annotated: 171 classes are left. The 10k release keeps these numbers (0: unlabelled), the pixel maps of 164k are one
less (255: unlabelled). Numbers of the 11 things do not occur; a mask that shows one is refused: it is numbered in
another way.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from offstride.data.catalog_published import COCO_STUFF_10K, COCO_STUFF_164K
from offstride.data.layout import Matching, Pair, find_folder, match_folders, read_pair
from offstride.data.matlab import label_map, read_mat
from offstride.data.official import OfficialSet, match_listed, read_list

_LABELS = (".mat", ".png")
_DERIVED = "_labelTrainIds"  # other programs write masks of this name beside the originals


def find_coco_stuff10k(root: Path, split: str) -> Matching:
    """The files that `imageLists/{split}.txt` names: `images/NAME.jpg` and `annotations/NAME.mat` (or `.png`)."""
    annotations, images = root / "annotations", root / "images"
    find_folder(root, ("annotations",), "the .mat annotations")
    names = read_list(root / "imageLists" / f"{split}.txt")
    entries = ((name, [images / f"{name}.jpg"], [annotations / f"{name}{end}" for end in _LABELS]) for name in names)
    return match_listed(entries, _read)


def find_coco_stuff164k(root: Path, split: str) -> Matching:
    """The files of a split: `images/{split}2017/NAME.jpg` and `annotations/{split}2017/NAME.png`.

    Images may also lie in `{split}2017`, and masks in `stuffthingmaps/{split}2017` or the folder that is named after
    their archive.
    """
    year = f"{split}2017"
    images = find_folder(root, (f"images/{year}", year), f"the images of {split!r}")
    places = (f"annotations/{year}", f"stuffthingmaps/{year}", f"stuffthingmaps_trainval2017/{year}")
    matching = match_folders(images, find_folder(root, places, f"the pixel maps of {split!r}"))
    originals = tuple(path for path in matching.without_image if not path.stem.endswith(_DERIVED))
    return replace(matching, without_image=originals)


def _read(pair: Pair) -> np.ndarray:
    """Numbers of `labels.txt`, whichever version of the 10k release the file is from.

    Version 1.1 has them. Version 1.0 names 172 classes, unlabelled the first of them, and counts from 1.
    """
    path = pair.label
    if path is None or path.suffix != ".mat":
        return read_pair(pair)
    variables = read_mat(path, "S", "names")
    values = label_map(path, variables["S"])
    if "names" not in variables or variables["names"].size != len(COCO_STUFF_10K) + 1:
        return values
    table = np.array([-1, 0, *COCO_STUFF_10K.values])
    if values.size and not 1 <= int(values.min()) <= int(values.max()) < len(table):
        raise ValueError(f"mask {path}: expected values 1-172, got {values.min()} … {values.max()}")
    return table[values]


STUFF10K = OfficialSet("coco_stuff10k", COCO_STUFF_10K, {"train": 9000, "test": 1000}, find_coco_stuff10k)
"""COCO-Stuff 10k, 171 classes; 0 (unlabelled) is ignored. Its test split has labels: papers report on it."""

STUFF164K = OfficialSet(
    "coco_stuff164k", COCO_STUFF_164K, {"train": 118287, "val": 5000}, find_coco_stuff164k, {"trainval": "train+val"}
)
"""COCO-Stuff 164k, 171 classes; 255 (unlabelled) is ignored."""
