"""What is known of a model that was opened by its name in another library."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from offstride.data.catalog import ClassSet


@dataclass(frozen=True)
class OpenedModel:
    """A model of another library with its weights.

    Attributes:
        model: In evaluation mode.
        architecture: What its file's `rebuild` builds it from.
        channels: Channels of images that it reads.
        classes: Names of its classes, if the library knows them.
        mean: Mean colour of images in 0 … 1, if the library knows it; with `std`.
        std: Standard deviation, likewise.
        unknown: Why normalisation is not known.
        multiple: It takes sides that are multiples of it.
        reversed: Whether it reads blue, green, red; mean and deviation are of red, green, blue nevertheless.
        sides: Lengths of sides of square images to try it on.
    """

    model: nn.Module
    architecture: dict[str, Any]
    channels: int
    classes: ClassSet | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    unknown: str = ""
    multiple: int = 1
    reversed: bool = False
    sides: tuple[int, ...] = (256, 512)


def named_classes(names: Iterable[str]) -> ClassSet | None:
    """Classes by their names, which are made distinct; None if there are more than a label map holds."""
    listed = [str(name) for name in names]
    if not 0 < len(listed) <= 255:
        return None
    return ClassSet(tuple(f"{name} ({i})" if listed.count(name) > 1 else name for i, name in enumerate(listed)))


def in_unit_range(
    mean: Sequence[float], std: Sequence[float], factor: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of colours in 0 … 1, from those of colours that are `factor` times as large."""
    return tuple(value / factor for value in mean), tuple(value / factor for value in std)
