"""Datasets whose samples are those of others, such as several splits one after another."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from offstride.data.catalog import ClassSet
from offstride.data.files import FileDataset
from offstride.data.labels import LabelMaps
from offstride.data.layout import abridged
from offstride.data.sample import Sample, SampleSet, sample_name


class DatasetView(Dataset[Sample], ABC):
    """Samples of other datasets of the same classes; a subclass defines the length and `_place`."""

    def __init__(self, parts: Sequence[SampleSet]) -> None:
        self._parts, self._maps = tuple(parts), [LabelMaps(part) for part in parts]

    @property
    def classes(self) -> ClassSet:
        """The classes of all parts."""
        return self._parts[0].classes

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the samples, in their order."""
        places = map(self._place, range(len(self)))
        return tuple(sample_name(self._parts[part], place) for part, place in places)

    @abstractmethod
    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        part, place = self._place(index)
        return self._parts[part][place]

    def image_file(self, index: int) -> Path | None:
        """The image file of a sample, where its part has files."""
        part, place = self._place(index)
        find = getattr(self._parts[part], "image_file", None)
        return None if find is None else find(place)

    def label(self, index: int) -> Tensor:
        """The label map of a sample; of files only the label is read."""
        part, place = self._place(index)
        return self._maps[part][place]

    def label_stamp(self, index: int) -> tuple[object, ...]:
        """Values that change with the label; computed without decoding it where the part can do so."""
        part, place = self._place(index)
        return (self._maps[part].stamp(place),)

    @abstractmethod
    def _place(self, index: int) -> tuple[int, int]:
        """The number of a part, and the index of the sample in it."""


class Joined(DatasetView):
    """Datasets one after another, such as the splits `train` and `val`.

    Args:
        parts: At least one; all of the same classes.

    Raises:
        ValueError: When the classes differ, or the parts share images: these would count twice.
    """

    def __init__(self, parts: Sequence[SampleSet]) -> None:
        if not parts or any(part.classes != parts[0].classes for part in parts):
            raise ValueError(f"parts: expected datasets of the same classes, got {len(parts)} of them")
        files = [file for part in parts if isinstance(part, FileDataset) for file in part.image_files]
        if len(set(files)) < len(files):
            seen = set()
            twice = [file for file in files if file in seen or seen.add(file)]
            raise ValueError(f"split: expected splits without common images, got {len(twice)}: {abridged(twice)}")
        super().__init__(parts)
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"index: expected one in 0 … {len(self) - 1}, got {index}")
        part = bisect_right(self._ends, index)
        return part, index - (self._ends[part - 1] if part else 0)
