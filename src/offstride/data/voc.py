"""PASCAL VOC 2012 segmentation, and its augmentation by SBD.

Everingham et al., IJCV 2010; Hariharan et al., "Semantic contours from inverse detectors", ICCV 2011.
"""

from pathlib import Path

import numpy as np

from offstride.data.catalog_published import VOC
from offstride.data.layout import Matching, Pair, files_in, find_folder, read_pair
from offstride.data.matlab import label_map, read_mat
from offstride.data.official import OfficialSet, match_listed, read_list

_SBD = "benchmark_RELEASE/dataset"
_AUGMENTED = "SegmentationClassAug"


def voc_folder(root: Path, year: int) -> Path:
    """The folder `VOC{year}`: in `root/VOCdevkit`, in `root`, or `root` itself."""
    if root.name == f"VOC{year}" and (root / "JPEGImages").is_dir():
        return root
    return find_folder(root, (f"VOCdevkit/VOC{year}", f"VOC{year}"), f"VOC {year}")


def sbd_folder(root: Path, voc: Path) -> Path | None:
    """The folder of SBD (`cls`, `img`, `train.txt`, `val.txt`), in `root` or above `voc`; None where it is not."""
    places = (folder / _SBD for folder in (root, *voc.absolute().parents[:2]))
    return next((place for place in places if (place / "cls").is_dir()), None)


def read_sbd(path: Path) -> np.ndarray:
    """The class map of an SBD file, `GTcls.Segmentation`: 0 (background) … 20."""
    try:
        segmentation = read_mat(path, "GTcls")["GTcls"][0, 0].Segmentation
    except (AttributeError, IndexError) as error:
        raise ValueError(f"file {path}: expected GTcls.Segmentation, which is missing") from error
    return label_map(path, segmentation)


def find_voc(root: Path, split: str) -> Matching:
    """The files of a split of VOC 2012.

    `trainaug` is the list `ImageSets/Segmentation/trainaug.txt` where there is one, or else what it was made from: the
    train images of VOC and all images of SBD, without the val images of VOC (10,582). Its labels are those of VOC where
    VOC has them, because they are finer (DeepLabv3, Sec. 4.2), or else `SegmentationClassAug/NAME.png`, or else the
    `cls/NAME.mat` of SBD.
    """
    voc = voc_folder(root, 2012)
    sbd = sbd_folder(root, voc)
    names = _augmented(voc, sbd) if split == "trainaug" else read_list(_list_file(voc, split))
    entries = []
    for name in names:
        images = [voc / "JPEGImages" / f"{name}.jpg"]
        labels = [voc / "SegmentationClass" / f"{name}.png"]
        if split == "trainaug":
            labels.append(voc / _AUGMENTED / f"{name}.png")
            labels += [sbd / "cls" / f"{name}.mat"] if sbd else []
            images += [sbd / "img" / f"{name}.jpg"] if sbd else []
        entries.append((name, images, None if split == "test" else labels))
    return match_listed(entries, _read)


def _augmented(voc: Path, sbd: Path | None) -> list[str]:
    """Names of the images of `trainaug`, sorted where they are computed."""
    if sbd is None and not (voc / _AUGMENTED).is_dir():
        raise ValueError(
            f"root: the split 'trainaug' needs SBD (benchmark.tgz): found neither {_SBD} (with cls, train.txt and "
            f"val.txt) in or above {voc} nor {voc / _AUGMENTED}; without it there is 'train'"
        )
    if _list_file(voc, "trainaug").is_file():
        return read_list(_list_file(voc, "trainaug"))
    if sbd is None:
        extra = [path.stem for path in files_in(voc / _AUGMENTED, (".png",))]
    else:
        extra = [*read_list(sbd / "train.txt"), *read_list(sbd / "val.txt")]
    return sorted({*read_list(_list_file(voc, "train")), *extra} - {*read_list(_list_file(voc, "val"))})


def _list_file(voc: Path, split: str) -> Path:
    return voc / "ImageSets" / "Segmentation" / f"{split}.txt"


def _read(pair: Pair) -> np.ndarray:
    return read_sbd(pair.label) if pair.label is not None and pair.label.suffix == ".mat" else read_pair(pair)


VOC2012 = OfficialSet(
    name="voc2012",
    classes=VOC,
    counts={"train": 1464, "val": 1449, "trainaug": 10582, "test": 1456},
    find=find_voc,
    joins={"trainval": "train+val"},
    unlabelled=("test",),
)
"""PASCAL VOC 2012: 20 classes and background, 255 (the border of objects) ignored."""
