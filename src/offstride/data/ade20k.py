"""ADE20K scene parsing in 150 classes (Zhou et al., CVPR 2017), as `ADEChallengeData2016.zip` unpacks."""

from pathlib import Path

from offstride.data.catalog_published import ADE20K_150
from offstride.data.layout import IMAGE_SUFFIXES, Matching, Pair, files_in, find_folder, match_folders
from offstride.data.official import OfficialSet

_FOLDERS = {"train": "training", "val": "validation"}


def find_ade20k(root: Path, split: str) -> Matching:
    """The files of a split: `images/training` with `annotations/training`, or the images of `release_test/testing`."""
    if split == "test":
        places = ("release_test/testing", "testing", "images/testing", "ADEChallengeData2016/images/testing")
        images = files_in(find_folder(root, places, "the test images (release_test.zip)"), IMAGE_SUFFIXES)
        return Matching(tuple(Pair(path.stem, path, None) for path in images))
    base = root if (root / "annotations").is_dir() else find_folder(root, ("ADEChallengeData2016",), "ADE20K")
    folder = _FOLDERS[split]
    images = find_folder(base, (f"images/{folder}",), f"the images of {split!r}")
    return match_folders(images, find_folder(base, (f"annotations/{folder}",), f"the labels of {split!r}"))


ADE20K = OfficialSet(
    name="ade20k",
    classes=ADE20K_150,
    counts={"train": 20210, "val": 2000, "test": 3352},
    find=find_ade20k,
    joins={"trainval": "train+val"},
    unlabelled=("test",),
)
"""ADE20K in 150 classes, label values 1 … 150; 0 (other objects) is ignored."""
