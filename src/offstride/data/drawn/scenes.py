"""Data sets whose samples are drawn when they are read."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch.utils.data import Dataset

from offstride.data.catalog import ClassSet
from offstride.data.drawn.canvas import Canvas
from offstride.data.drawn.develop import develop
from offstride.data.sample import Sample

SPLITS = ("train", "val", "test")
KEEP_BYTES = 256 << 20
"""A set that fits into this memory is drawn only once: drawing takes longer than a small network needs to learn."""


class DrawnScenes(Dataset[Sample], ABC):
    """Scenes with exact label maps, drawn on demand.

    Sample `i` depends on `(seed, split, i)` and the size alone. No two splits or seeds share a scene.

    Args:
        count: Number of samples.
        size: (height, width) in pixels.
        seed: Of the first sample's scene and all others.
        split: "train", "val" or "test".

    Raises:
        ValueError: When an argument is out of its range.
    """

    classes: ClassSet

    def __init__(self, count: int, size: tuple[int, int] = (192, 256), seed: int = 0, split: str = "train") -> None:
        if count < 1:
            raise ValueError(f"count: expected at least 1, got {count}")
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"size: expected a height and a width of at least 1, got {tuple(size)}")
        if seed < 0:
            raise ValueError(f"seed: expected 0 or more, got {seed}")
        if split not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
        self.count, self.size, self.seed, self.split = count, tuple(size), seed, split
        self._kept: dict[int, Sample] = {}

    @abstractmethod
    def paint(self, rng: np.random.Generator, canvas: Canvas) -> None:
        """Paint a random scene."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the samples, in their order."""
        return tuple(f"{self.split}-{index:06d}" for index in range(self.count))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        index = range(self.count)[index]
        if index in self._kept:
            return self._kept[index]
        sample = self._draw(index)
        if self.count * sample.label.numel() * 4 <= KEEP_BYTES:
            self._kept[index] = sample
        return sample

    def _draw(self, index: int) -> Sample:
        source = np.random.SeedSequence((self.seed, SPLITS.index(self.split), index))
        layout, grain = (np.random.Generator(np.random.PCG64(child)) for child in source.spawn(2))
        canvas = Canvas(*self.size)
        self.paint(layout, canvas)
        image = torch.from_numpy(self.develop(canvas, grain))
        return Sample(image, torch.from_numpy(canvas.label), f"{self.split}-{index:06d}")

    def develop(self, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
        """The `(3, H, W)` uint8 photograph of a canvas, which is used up."""
        return develop(canvas.image, rng)
