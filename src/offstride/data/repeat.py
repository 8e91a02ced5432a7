"""Repeats images of hard classes: the bootstrapping of DeepLabv3 (Sec. 4.2)."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

import numpy as np

from offstride.data.join import DatasetView
from offstride.data.labels import LabelMaps
from offstride.data.sample import SampleSet

_SHOWN: WeakKeyDictionary[SampleSet, np.ndarray] = WeakKeyDictionary()


class Repeated(DatasetView):
    """A dataset that repeats the images of some classes.

    All samples in their order, followed by those that show one of the classes, `times` - 1 times.

    Args:
        dataset: Labelled images.
        classes: Names of hard classes; DeepLabv3 takes bicycle, chair, diningtable, pottedplant and sofa, twice.
        times: How often their images appear.
        progress: Progress callback: `progress(labels read, all labels)` after each label.

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
        super().__init__([dataset])
        self.dataset = dataset
        indices = [dataset.classes.names.index(name) for name in classes]
        hard = np.flatnonzero(shown_classes(dataset, progress)[:, indices].any(1)) if indices and times > 1 else []
        self._indices = np.concatenate([np.arange(len(dataset)), *[np.asarray(hard, int)] * (times - 1)])

    def __len__(self) -> int:
        return len(self._indices)

    def _place(self, index: int) -> tuple[int, int]:
        return 0, int(self._indices[index])


def shown_classes(dataset: SampleSet, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
    """Which classes each image shows: `(images, classes)` bool.

    Of files only the labels are read; the result is kept as long as the dataset exists.

    Args:
        dataset: Labelled images.
        progress: Progress callback: `progress(labels read, all labels)` after each label.
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
