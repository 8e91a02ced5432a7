"""What every dataset of this room yields."""

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
        name: Names the sample within its dataset: the file stem, or a number.
    """

    image: Tensor
    label: Tensor
    name: str


class SampleSet(Protocol):
    """A map-style dataset of labelled images: what transforms, streams and evaluation ask of a dataset."""

    @property
    def classes(self) -> ClassSet:
        """The classes that the labels index."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@runtime_checkable
class LabelSource(Protocol):
    """A dataset whose labels can be had without its images."""

    def label(self, index: int) -> Tensor:
        """The label map of a sample: `(H, W)` uint8."""
        ...

    def label_stamp(self, index: int) -> tuple[object, ...]:
        """What changes when the label does; nothing is decoded for it."""
        ...


def sample_name(dataset: SampleSet, index: int) -> str:
    """The name of a sample; nothing is decoded for it where the dataset keeps `names`."""
    names = getattr(dataset, "names", None)
    return dataset[index].name if names is None else names[index]
