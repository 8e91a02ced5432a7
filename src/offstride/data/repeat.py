"""Images of hard classes several times: the bootstrapping of DeepLabv3 (Sec. 4.2)."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from offstride.data.catalog import ClassSet
from offstride.data.labels import LabelMaps
from offstride.data.sample import Sample, SampleSet, sample_name

_SHOWN: WeakKeyDictionary[SampleSet, np.ndarray] = WeakKeyDictionary()


class Repeated(Dataset[Sample]):
    """A dataset in which images that show one of some classes are listed several times.

    The samples come in their order, and then those that show one of the classes, `times` - 1 times.

    Args:
        dataset: Labelled images.
        classes: Names of hard classes; DeepLabv3 takes bicycle, chair, diningtable, pottedplant and sofa, twice.
        times: How often their images are listed.
        progress: Called with (labels looked at, all labels) after each label.

    Raises:
        ValueError: When a name is no class of the dataset, or `times` is less than 1.
    """

    def __init__(
        self,
        dataset: SampleSet,
        classes: Sequence[str],
        times: int = 2,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        strangers = [name for name in classes if name not in dataset.classes.names]
        if strangers:
            raise ValueError(f"classes: expected names out of {dataset.classes.names!r}, got {strangers!r}")
        if times < 1:
            raise ValueError(f"times: expected at least 1, got {times}")
        self.dataset, self._maps = dataset, LabelMaps(dataset)
        indices = [dataset.classes.names.index(name) for name in classes]
        hard = np.flatnonzero(shown_classes(dataset, progress)[:, indices].any(1)) if indices and times > 1 else []
        self._indices = np.concatenate([np.arange(len(dataset)), *[np.asarray(hard, int)] * (times - 1)])

    @property
    def classes(self) -> ClassSet:
        """The classes of the dataset."""
        return self.dataset.classes

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the samples, in their order."""
        return tuple(sample_name(self.dataset, int(index)) for index in self._indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[int(self._indices[index])]

    def label(self, index: int) -> Tensor:
        """The label map of a sample; of files only the label is read."""
        return self._maps[int(self._indices[index])]

    def label_stamp(self, index: int) -> tuple[object, ...]:
        """What changes when the label does."""
        return (self._maps.stamp(int(self._indices[index])),)


def shown_classes(dataset: SampleSet, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
    """Which classes each image shows: `(images, classes)` bool.

    Of files only the labels are read, once as long as the dataset is held.

    Args:
        dataset: Labelled images.
        progress: Called with (labels looked at, all labels) after each label.
    """
    if dataset not in _SHOWN:
        maps, count = LabelMaps(dataset), len(dataset.classes)
        shown = np.zeros((len(maps), count), bool)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders release the interpreter lock
            labels = pool.map(lambda index: np.bincount(maps[index].numpy().ravel(), minlength=256), range(len(maps)))
            for index, pixels in enumerate(labels):
                shown[index] = pixels[:count] > 0
                if progress:
                    progress(index + 1, len(maps))
        _SHOWN[dataset] = shown
    return _SHOWN[dataset]
