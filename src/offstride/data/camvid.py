"""CamVid: 701 street scenes in eleven classes (Brostow et al., ECCV 2008), in the SegNet split and size."""

from dataclasses import replace
from pathlib import Path

from offstride.data.catalog import CAMVID, ClassSet
from offstride.data.folder import FolderDataset
from offstride.data.layout import class_file


class CamVid(FolderDataset):
    """CamVid in folders, see `FolderDataset`.

    Args:
        root: Folder that holds `images/{split}` and `labels/{split}`. A class file in it is believed; without one the
            masks hold 0 … 10 and, for void, 11.
        split: `"train"`, `"val"` or `"test"`.

    Raises:
        ValueError: As `FolderDataset` does.
    """

    def __init__(self, root: str | Path, split: str | None) -> None:
        path = class_file(Path(root))
        super().__init__(root, split, _with_thin(ClassSet.from_file(path)) if path else CAMVID)


def _with_thin(classes: ClassSet) -> ClassSet:
    """Mark CamVid's thin classes, by name, where the class file marks none."""
    thin = classes.thin or tuple(name for name in CAMVID.thin if name in classes.names)
    return replace(classes, thin=thin)
