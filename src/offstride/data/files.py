"""Datasets whose images and labels are files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from offstride.data.catalog import ClassSet
from offstride.data.decode import read_image
from offstride.data.layout import Pair, list_pairs, read_classes, read_pair
from offstride.data.sample import Sample


class FileDataset(Dataset[Sample]):
    """Pairs of an image file and a label.

    Test splits whose labels are not public have pairs without a label. For them `image` returns the image; indexing and
    `label` raise a `ValueError`.

    Args:
        pairs: The files of each sample.
        classes: Meaning of the label values.
        read: From a pair to the values of its label, `(H, W)` integers that `classes` translates; reads a mask file by
            default.
    """

    def __init__(
        self, pairs: Sequence[Pair], classes: ClassSet, read: Callable[[Pair], np.ndarray] = read_pair
    ) -> None:
        self._pairs, self._read = tuple(pairs), read
        self.classes = classes

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the samples, in their order."""
        return tuple(pair.name for pair in self._pairs)

    @property
    def image_files(self) -> tuple[Path, ...]:
        """The image files, in the order of the samples."""
        return tuple(pair.image for pair in self._pairs)

    def image_file(self, index: int) -> Path:
        """The image file of a sample."""
        return self._pairs[index].image

    @property
    def labelled(self) -> bool:
        """Whether every sample has a label."""
        return all(pair.label is not None for pair in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self._pairs[index]
        image, label = self.image(index), self.label(index)
        if image.shape[1:] != label.shape:
            raise ValueError(
                f"mask {pair.label}: expected the (height, width) of its image, {tuple(image.shape[1:])}, "
                f"got {tuple(label.shape)}"
            )
        return Sample(image, label, pair.name)

    def image(self, index: int) -> Tensor:
        """The image of a sample: `(3, H, W)` uint8, RGB, channels last in memory, which resizes fast."""
        return torch.from_numpy(read_image(self._pairs[index].image)).permute(2, 0, 1)

    def label(self, index: int) -> Tensor:
        """The label map of a sample, without its image: `(H, W)` uint8."""
        path = self.label_file(index)
        try:
            return torch.from_numpy(self.classes.encode(self._read(self._pairs[index])))
        except ValueError as error:
            raise ValueError(str(error) if str(path) in str(error) else f"file {path}: {error}") from error

    def label_file(self, index: int) -> Path:
        """The file that holds the label of a sample."""
        pair = self._pairs[index]
        if pair.label is None:
            raise ValueError(
                f"split: expected one with labels, but {pair.image} has none: label such images with offstride predict"
            )
        return pair.label

    def label_stamp(self, index: int) -> tuple[object, ...]:
        """Path, size and modification time of the label file, and the name of the sample."""
        path = self.label_file(index)
        status = path.stat()
        return str(path.resolve()), status.st_size, status.st_mtime_ns, self._pairs[index].name


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
