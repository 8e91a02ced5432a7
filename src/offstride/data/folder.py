"""Datasets in two folders, matched by the stems of the files."""

from pathlib import Path

from offstride.data.catalog import ClassSet
from offstride.data.files import FileDataset
from offstride.data.layout import list_pairs, read_classes


class FolderDataset(FileDataset):
    """Image and mask files, matched by their stems: `images/{split}/NAME.jpg` and `labels/{split}/NAME.png`.

    Args:
        root: Folder that holds `images` and `labels` (or `masks`).
        split: Subfolder of both; None when the files are in them directly.
        classes: Meaning of the mask values; by default read from `classes.json`, `.yaml` or `.yml` in `root`.

    Raises:
        ValueError: When a folder is missing or empty, an image lacks its mask or a mask its image, or no classes are
            known. Indexing raises one when a file is damaged, sizes differ or a mask holds unknown values.
    """

    def __init__(self, root: str | Path, split: str | None, classes: ClassSet | None = None) -> None:
        self.root, self.split = Path(root), split
        pairs = list_pairs(self.root, split)
        super().__init__(pairs, classes or read_classes(self.root))
