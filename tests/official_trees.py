"""Tiny trees in exactly the layouts that the archives of the published data sets unpack to.

`write_tree(name, root)` writes one. Label values are random, by the name of the sample: `raw(name, choices, size)`.
"""

import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

Size = tuple[int, int]

VOC_VALUES = (*range(21), 255)
COCO_VOC_IDS = (5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
NEVER_ANNOTATED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)  # of COCO-Stuff's 182 numbers
STUFF_NUMBERS = tuple(number for number in range(1, 183) if number not in NEVER_ANNOTATED)


def raw(name: str, choices: tuple[int, ...], size: Size) -> np.ndarray:
    """The label values of a sample: each row has one of the choices, and a random part of it another."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    rows = rng.choice(choices, (size[0], 1))
    return np.where(rng.random(size) < 0.5, rows, rng.choice(choices, size))


def write_image(path: Path, size: Size) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path)


def write_mask(path: Path, values: np.ndarray, *, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(values.astype(np.uint8))
    if palette:
        mask.putpalette([channel for index in range(256) for channel in (index, 255 - index, 7)])
    mask.save(path)


def write_mat(path: Path, **variables: object) -> None:
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables, do_compression=True)


def write_list(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def write_voc2012(root: Path, count: int, size: Size) -> None:
    """VOC, and SBD beside it: it shares all train images and the first val image, and adds `count` of its own."""
    voc, sbd = root / "VOCdevkit" / "VOC2012", root / "benchmark_RELEASE" / "dataset"
    splits = {split: [f"2007_{split}{index}" for index in range(count)] for split in ("train", "val", "test")}
    splits["trainval"] = splits["train"] + splits["val"]
    for split, names in splits.items():
        write_list(voc / "ImageSets" / "Segmentation" / f"{split}.txt", names)
        for name in names:
            write_image(voc / "JPEGImages" / f"{name}.jpg", size)
            if split != "test":
                write_mask(voc / "SegmentationClass" / f"{name}.png", raw(name, VOC_VALUES, size), palette=True)
    extra = [f"2008_extra{index}" for index in range(count)]
    write_list(sbd / "train.txt", [*splits["train"], *extra[: count // 2]])
    write_list(sbd / "val.txt", [splits["val"][0], *extra[count // 2 :]])
    for name in (*splits["train"], splits["val"][0], *extra):
        values = raw(f"sbd {name}", VOC_VALUES[:-1], size).astype(np.uint8)
        categories = np.unique(values[values > 0])[:, None]
        write_mat(sbd / "cls" / f"{name}.mat", GTcls={"Segmentation": values, "CategoriesPresent": categories})
        write_image(sbd / "img" / f"{name}.jpg", size)
    for name in extra[1:]:  # the first one has its image in SBD only
        write_image(voc / "JPEGImages" / f"{name}.jpg", size)


def write_pascal_context(root: Path, count: int, size: Size) -> None:
    voc = root / "VOCdevkit" / "VOC2010"
    for split in ("train", "val"):
        names = [f"2008_{split}{index}" for index in range(count)]
        write_list(voc / "ImageSets" / "Main" / f"{split}.txt", names)
        for name in names:
            write_image(voc / "JPEGImages" / f"{name}.jpg", size)
            values = raw(name, tuple(range(1, 460)), size).astype(np.uint16)
            write_mat(root / "trainval" / f"{name}.mat", LabelMap=values)


def write_ade20k(root: Path, count: int, size: Size) -> None:
    base = root / "ADEChallengeData2016"
    for split, short in (("training", "train"), ("validation", "val")):
        for index in range(1, count + 1):
            name = f"ADE_{short}_{index:08}"
            write_image(base / "images" / split / f"{name}.jpg", size)
            write_mask(base / "annotations" / split / f"{name}.png", raw(name, tuple(range(151)), size))
    for index in range(1, count + 1):
        write_image(root / "release_test" / "testing" / f"ADE_test_{index:08}.jpg", size)


def write_cityscapes(root: Path, count: int, size: Size) -> None:
    """The images of `train` have coarse labels beside the fine ones."""
    cities = {"train": "aachen", "val": "frankfurt", "test": "berlin", "train_extra": "augsburg"}
    for index in range(count):
        name = f"aachen_000000_{index:06}"
        values = raw(f"coarse {name}", tuple(range(34)), size)
        write_mask(root / "gtCoarse" / "train" / "aachen" / f"{name}_gtCoarse_labelIds.png", values)
    for split, city in cities.items():
        truth = "gtCoarse" if split == "train_extra" else "gtFine"
        for index in range(count):
            name = f"{city}_000000_{index:06}"
            write_image(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", size)
            values = raw(name, tuple(range(34)), size) if split != "test" else np.full(size, 3)
            stem = root / truth / split / city / f"{name}_{truth}"
            write_mask(stem.with_name(f"{stem.name}_labelIds.png"), values)
            write_mask(stem.with_name(f"{stem.name}_instanceIds.png"), values)
            stem.with_name(f"{stem.name}_polygons.json").write_text("{}")


def write_coco_stuff10k(root: Path, count: int, size: Size) -> None:
    for split in ("train", "test"):
        names = [f"COCO_train2014_{split}{index}" for index in range(count)]
        write_list(root / "imageLists" / f"{split}.txt", names)
        for name in names:
            write_image(root / "images" / f"{name}.jpg", size)
            cells = np.array([[f"class {number}"] for number in range(1, 183)], object)
            values = raw(name, (0, *STUFF_NUMBERS), size).astype(float)
            write_mat(root / "annotations" / f"{name}.mat", S=values, names=cells, captions=np.array(["words"], object))


def write_coco_stuff164k(root: Path, count: int, size: Size) -> None:
    values = (*(number - 1 for number in STUFF_NUMBERS), 255)
    for split in ("train", "val"):
        for index in range(count):
            name = f"{split}{index:012}"
            write_image(root / "images" / f"{split}2017" / f"{name}.jpg", size)
            write_mask(root / "annotations" / f"{split}2017" / f"{name}.png", raw(name, values, size))


def write_coco_voc(root: Path, count: int, size: Size) -> None:
    """Each image has one rectangle of each of two VOC classes, side by side, and one of a category that VOC lacks."""
    height, width = size
    for split in ("train", "val"):
        images, annotations = [], []
        for index in range(count):
            name = f"{split}{index:012}.jpg"
            write_image(root / "images" / f"{split}2017" / name, size)
            images.append({"id": index + 7, "file_name": name, "height": height, "width": width})
            for part, category in enumerate((1, COCO_VOC_IDS[index % 20], 13)):
                left, right = part * width // 4, (part + 1) * width // 4
                polygon = [left, 0, right, 0, right, height, left, height]
                annotations.append(
                    {"image_id": index + 7, "category_id": category, "iscrowd": 0, "segmentation": [polygon]}
                )
        path = root / "annotations" / f"instances_{split}2017.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))


WRITERS = {
    "voc2012": write_voc2012,
    "pascal_context59": write_pascal_context,
    "pascal_context60": write_pascal_context,
    "ade20k": write_ade20k,
    "cityscapes": write_cityscapes,
    "coco_stuff10k": write_coco_stuff10k,
    "coco_stuff164k": write_coco_stuff164k,
    "coco_voc": write_coco_voc,
}


def write_tree(name: str, root: Path, count: int = 3, size: Size = (48, 64)) -> Path:
    """Write a data set with `count` images per split; returns its root."""
    WRITERS[name](root, count, size)
    return root
