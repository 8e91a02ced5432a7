"""Datasets that lie in folders."""

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from offstride.data.catalog import ClassSet
from offstride.data.decode import read_image, read_mask
from offstride.data.layout import list_pairs, read_classes
from offstride.data.sample import Sample


class FolderDataset(Dataset[Sample]):
    """Image and mask files, matched by their stems: `images/{split}/NAME.jpg` and `labels/{split}/NAME.png`.

    Args:
        root: Folder that holds `images` and `labels` (or `masks`).
        split: Subfolder of both; None when the files lie in them directly.
        classes: What the mask values mean; by default read from `classes.json`, `.yaml` or `.yml` in `root`.

    Raises:
        ValueError: When a folder is missing or empty, an image lacks its mask or a mask its image, or no classes are
            known. Indexing raises one when a file is damaged, sizes differ or a mask holds unknown values.
    """

    def __init__(self, root: str | Path, split: str | None, classes: ClassSet | None = None) -> None:
        self.root, self.split = Path(root), split
        self._pairs = list_pairs(self.root, split)
        self.classes = classes or read_classes(self.root)

    @property
    def names(self) -> tuple[str, ...]:
        """The file stems, in the order of the samples."""
        return tuple(pair.name for pair in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self._pairs[index]
        image, label = read_image(pair.image), self.label(index)
        if image.shape[:2] != label.shape:
            raise ValueError(
                f"mask {pair.label}: expected the (height, width) of its image, {image.shape[:2]}, "
                f"got {tuple(label.shape)}"
            )
        # Channels stay last in memory: that is what resizing of uint8 images is fast on.
        return Sample(torch.from_numpy(image).permute(2, 0, 1), label, pair.name)

    def label(self, index: int) -> Tensor:
        """The label map of a sample, without its image: `(H, W)` uint8."""
        path = self.label_file(index)
        try:
            return torch.from_numpy(self.classes.encode(read_mask(path)))
        except ValueError as error:
            raise ValueError(str(error) if str(path) in str(error) else f"file {path}: {error}") from error

    def label_file(self, index: int) -> Path:
        """The mask file of a sample."""
        return self._pairs[index].label
