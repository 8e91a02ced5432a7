"""CamVid: 701 street scenes in eleven classes (Brostow et al., ECCV 2008), in the SegNet split and size."""

from dataclasses import replace
from pathlib import Path

from offstride.data.catalog import CAMVID, ClassSet
from offstride.data.files import FolderDataset
from offstride.data.layout import class_file

CAMVID_IMAGES = {"train": 367, "val": 101, "test": 233}
"""Number of images of each split."""


class CamVid(FolderDataset):
    """CamVid in folders, see `FolderDataset`.

    Args:
        root: Folder that holds `images/{split}` and `labels/{split}`, and optionally a class file; without one the
            masks hold 0 … 10 and, for void, 11.
        split: `"train"`, `"val"` or `"test"`.

    Raises:
        ValueError: As `FolderDataset` does.
    """

    def __init__(self, root: str | Path, split: str | None) -> None:
        super().__init__(root, split, camvid_classes(Path(root)))


def camvid_classes(root: Path) -> ClassSet:
    """The classes of the class file in `root`, with CamVid's thin ones if it names none; without a file CamVid's."""
    path = class_file(root)
    if path is None:
        return CAMVID
    classes = ClassSet.from_file(path)
    return replace(classes, thin=classes.thin or tuple(name for name in CAMVID.thin if name in classes.names))
