"""Samples, and the protocol of datasets."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from offstride.data.catalog import ClassSet


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled image.

    Attributes:
        image: `(3, H, W)` uint8, RGB.
        label: `(H, W)` uint8 class indices, `IGNORE_INDEX` where no class is given.
        name: Name of the sample within its dataset: the file stem, or a number.
    """

    image: Tensor
    label: Tensor
    name: str


class SampleSet(Protocol):
    """A map-style dataset of labelled images: the protocol that transforms, streams and evaluation need."""

    @property
    def classes(self) -> ClassSet:
        """The classes that the labels index."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@runtime_checkable
class LabelSource(Protocol):
    """A dataset that can read labels without images."""

    def label(self, index: int) -> Tensor:
        """The label map of a sample: `(H, W)` uint8."""
        ...

    def label_stamp(self, index: int) -> tuple[object, ...]:
        """Values that change with the label; computed without decoding it."""
        ...


def sample_name(dataset: SampleSet, index: int) -> str:
    """The name of a sample; it is not decoded if the dataset has `names`."""
    names = getattr(dataset, "names", None)
    return dataset[index].name if names is None else names[index]
