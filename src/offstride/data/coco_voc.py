"""COCO in the classes of PASCAL VOC, for pre-training (DeepLabv3, Sec. 4.2).

Objects of the 20 classes are drawn from `annotations/instances_{split}2017.json`; the other categories are background.
DeepLabv3 takes trainval without minival, which is train2017, and of it the images with more than 1000 annotated pixels
("about 60K"). Where objects overlap the one that is listed first is in front; a crowd of a class is ignored where no
single object lies. COCO names neither rule.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from offstride.data.catalog_published import VOC
from offstride.data.layout import Matching, Pair, find_folder
from offstride.data.official import OfficialSet, match_listed
from offstride.ops.labels import IGNORE_INDEX

PIXELS = 1000
"""Images with no more pixels of the 20 objects are left out."""

_YEARS = (2017, 2014)

COCO_IN_VOC = {
    5: 1, 2: 2, 16: 3, 9: 4, 44: 5, 6: 6, 3: 7, 17: 8, 62: 9, 21: 10, 67: 11, 18: 12, 19: 13, 4: 14, 1: 15, 64: 16,
    20: 17, 63: 18, 7: 19, 72: 20,
}  # fmt: skip
"""Category id of COCO to class index of PASCAL VOC, for its 20 objects."""


Objects = dict[str, tuple[tuple[int, int], str]]
"""File stem of an image to its (height, width) and the JSON text of its objects, a list of
`[class index, is a crowd, segmentation]`. Text, because lists of millions of numbers take many times its memory, and
once more in each process that loads data."""


def _read(objects: Objects, pair: Pair) -> np.ndarray:
    """The label map of an image: `(H, W)` uint8."""
    size, text = objects[pair.name]
    return draw_objects(json.loads(text), size)


def draw_objects(objects: Iterable[tuple[int, bool, Any]], size: tuple[int, int]) -> np.ndarray:
    """Draw objects into a label map.

    Args:
        objects: Class index, whether it is a crowd, and polygons or a run-length code in the format of COCO.
        size: (height, width) of the image.

    Returns:
        `(H, W)` uint8: class indices of PASCAL VOC, 0 where no object lies, 255 in crowds.

    Raises:
        ValueError: When pycocotools is not installed.
    """
    label = np.zeros(size, np.uint8)
    for index, crowd, segmentation in sorted(objects, key=lambda item: item[1]):  # crowds last, in what is left
        label[(label == 0) & _decode(segmentation, size)] = IGNORE_INDEX if crowd else index
    return label


def _decode(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """`(H, W)` bool."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ValueError("coco_voc: drawing objects needs pycocotools: pip install 'offstride[coco]'") from error
    if isinstance(segmentation, list):  # polygons, each [x0, y0, x1, y1, …]
        codes = mask.merge(mask.frPyObjects(segmentation, *size)) if segmentation else None
    else:
        compressed = isinstance(segmentation["counts"], str)
        codes = segmentation if compressed else mask.frPyObjects(segmentation, *size)
    return np.zeros(size, bool) if codes is None else mask.decode(codes).astype(bool)


def find_coco_voc(root: Path, split: str) -> Matching:
    """The images of a split that show enough of the 20 objects: `{split}2017/NAME.jpg` or `images/{split}2017/…`."""
    annotations = [root / "annotations" / f"instances_{split}{year}.json" for year in _YEARS]
    path = next((path for path in annotations if path.is_file()), None)
    if path is None:
        raise ValueError(f"root: expected the file {annotations[0]}, which is missing")
    year = f"{split}{path.stem[-4:]}"
    folder = find_folder(root, (year, f"images/{year}"), f"the images of {split!r}")
    files, objects = _read_objects(path)
    chosen = {name for name, (size, text) in objects.items() if _shows_enough(json.loads(text), size)}
    names = [name for name in files if name in chosen]
    read = partial(_read, {name: objects[name] for name in names})
    return match_listed(((name, [folder / files[name]], [path]) for name in names), read)


def _read_objects(path: Path) -> tuple[dict[str, str], Objects]:
    """File names of all images by their stem, and their objects."""
    try:
        layout = json.loads(path.read_bytes())
        grouped = defaultdict(list)
        for item in layout["annotations"]:
            if item["category_id"] in COCO_IN_VOC:
                entry = (COCO_IN_VOC[item["category_id"]], bool(item["iscrowd"]), item["segmentation"])
                grouped[item["image_id"]].append(entry)
        images = sorted(layout["images"], key=lambda image: image["file_name"])
        files = {Path(image["file_name"]).stem: image["file_name"] for image in images}
        objects = {
            Path(image["file_name"]).stem: ((image["height"], image["width"]), json.dumps(grouped[image["id"]]))
            for image in images
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"file {path}: expected the instances of COCO ({type(error).__name__}: {error})") from error
    return files, objects


def _shows_enough(objects: list[tuple[int, bool, Any]], size: tuple[int, int]) -> bool:
    """Whether more than `PIXELS` pixels show an object.

    Drawing all images would take minutes: the areas of polygons, whose pixels cannot differ from them by more than
    their circumference, settle nearly all.
    """
    polygons = [_areas(segmentation) for _, crowd, segmentation in objects if not crowd]
    if not polygons or sum(high for _, high in polygons) <= PIXELS:
        return False
    if max(low for low, _ in polygons) > PIXELS:
        return True
    label = draw_objects(objects, size)
    return int(((label > 0) & (label != IGNORE_INDEX)).sum()) > PIXELS


def _areas(segmentation: Any) -> tuple[float, float]:
    """Bounds of the number of pixels that a segmentation covers."""
    if not isinstance(segmentation, list):
        return 0.0, float("inf")
    bounds = [_polygon_areas(np.asarray(polygon, float).reshape(-1, 2)) for polygon in segmentation]
    return max((low for low, _ in bounds), default=0.0), sum(high for _, high in bounds)


def _polygon_areas(points: np.ndarray) -> tuple[float, float]:
    ahead = np.roll(points, -1, 0)
    area = abs(float((points[:, 0] * ahead[:, 1] - points[:, 1] * ahead[:, 0]).sum())) / 2
    margin = float(np.hypot(*(ahead - points).T).sum()) + 4
    return area - margin, area + margin


COCO_VOC = OfficialSet("coco_voc", VOC, {"train": None, "val": None}, find_coco_voc, {"trainval": "train+val"})
"""COCO in the 21 classes of PASCAL VOC."""
