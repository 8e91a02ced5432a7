"""The labels of a data set, read without its images if possible."""

import json
from hashlib import blake2b

from torch import Tensor

from offstride.data.drawn.streets import Streets
from offstride.data.sample import LabelSource, SampleSet


class LabelMaps:
    """The label maps of a data set, as a sequence of `(H, W)` uint8 tensors.

    Args:
        dataset: Labelled images; of files only the masks are read.
    """

    def __init__(self, dataset: SampleSet) -> None:
        self.dataset = dataset
        self.classes = dataset.classes

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Tensor:
        if isinstance(self.dataset, LabelSource):
            return self.dataset.label(index)
        return self.dataset[index].label

    def fingerprint(self, indices: range) -> str:
        """A digest that changes with the classes, the files and the drawn scenes.

        Of files it takes path, size and modification time; the maps of other data sets are read.
        """
        digest = blake2b(json.dumps(self.classes.to_dict(), sort_keys=True).encode(), digest_size=8)
        for index in indices:
            digest.update(self.stamp(index))
        return digest.hexdigest()

    def stamp(self, index: int) -> bytes:
        """The part of a fingerprint that belongs to one map."""
        if isinstance(self.dataset, LabelSource):
            return repr(self.dataset.label_stamp(index)).encode()
        if isinstance(self.dataset, Streets):
            return repr(("streets", self.dataset.size, self.dataset.seed, self.dataset.split, index)).encode()
        label = self[index]
        return repr(tuple(label.shape)).encode() + label.numpy().tobytes()
