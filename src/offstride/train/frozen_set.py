"""Data sets whose samples come with the outputs of the frozen parts of a model.

Shapes: C classes, D channels of a feature, h×w coarse grid, H×W image.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from offstride.data import SampleSet, derive_seed, normalize
from offstride.data.coarse_grid import CoarseSpan
from offstride.data.draw import below
from offstride.data.transforms import BaseSide, base_scale, resize_labelled
from offstride.features import Coarse
from offstride.ops.labels import IGNORE_INDEX
from offstride.train.frozen import FrozenOutputs

Report = Callable[[int, int], None]
"""Called with the number of finished images and that of all."""


class FrozenSample(NamedTuple):
    """What a step needs; the default collation makes batches of it.

    Attributes:
        image: `(3, H, W)` float32, normalised.
        label: `(H, W)` uint8.
        coarse: Maps of the image. Those that the upsampler does not read have no channels.
    """

    image: Tensor
    label: Tensor
    coarse: Coarse


class KeptImage(NamedTuple):
    """An image in a store: its key, its own (H, W), and the size that it was padded to for the network."""

    key: str
    size: tuple[int, int]
    padded: tuple[int, int]


class Reader:
    """Reads samples from a store; holds no model, so that it can be sent to other processes.

    Args:
        frozen: What fills the store.
    """

    def __init__(self, frozen: FrozenOutputs) -> None:
        self.store, self.names, self.strides = frozen.store, frozen.names, frozen.strides
        self.grid, self.mean, self.std = frozen.grid, frozen.mean, frozen.std

    def __call__(self, entry: KeptImage, spans: Sequence[CoarseSpan]) -> FrozenSample:
        """The part of an image in two spans; beyond the image there are the mean colour and ignored labels."""
        rows, columns = (span.pixels for span in spans)
        image = normalize(self.store.read(entry.key, "image", (rows, columns)), self.mean, self.std)
        label = self.store.read(entry.key, "label", (rows, columns))
        beyond = [span.length - length for span, length in zip(spans, label.shape, strict=True)]
        if any(beyond):
            pads = (0, beyond[1], 0, beyond[0])
            image, label = F.pad(image, pads), F.pad(label, pads, value=IGNORE_INDEX)
        maps = {name: self._map(entry, name, spans) for name in self.strides}
        return FrozenSample(image, label, Coarse(maps.pop("scores"), maps.pop("features"), [*maps.values()]))

    def _map(self, entry: KeptImage, name: str, spans: Sequence[CoarseSpan]) -> Tensor:
        stride = self.strides[name]
        if name in self.names:
            rows, columns = (span.coarse(stride) for span in spans)
            return self.store.read(entry.key, name, (rows, columns))
        return torch.empty(0, *(-(-span.length // stride) for span in spans))


class FrozenImages(Dataset[FrozenSample]):
    """Whole images, addressed by their numbers. See `frozen_images`."""

    def __init__(self, reader: Reader, entries: Sequence[KeptImage]) -> None:
        self.reader, self.entries = reader, entries

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> FrozenSample:
        entry = self.entries[index]
        return self.reader(entry, [CoarseSpan(self.reader.grid, length) for length in entry.size])


class FrozenCrops(Dataset[FrozenSample]):
    """Random crops, addressed by the pairs of a `SampleStream`: the one at position p depends on the seed and p alone.
    See `frozen_crops`.

    Args:
        reader: Of the store.
        entries: For each image the scaled ones, each as it is and mirrored; the same twice if it is always or never
            mirrored.
        crop: (height, width).
        flip: Probability of the mirrored one.
        seed: Of the augmentation.
    """

    def __init__(
        self,
        reader: Reader,
        entries: Sequence[Sequence[tuple[KeptImage, KeptImage]]],
        crop: tuple[int, int],
        flip: float,
        seed: int,
    ) -> None:
        self.reader, self.entries, self.crop, self.flip, self.seed = reader, entries, crop, flip, seed

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, place: tuple[int, int]) -> FrozenSample:
        position, index = place
        random = Random(derive_seed(self.seed, position))
        scaled = self.entries[index]
        pair = scaled[below(len(scaled), random)]
        grid, padded = self.reader.grid, pair[0].padded
        spans = [grid.draw(length, crop, random) for length, crop in zip(padded, self.crop, strict=True)]
        return self.reader(pair[random.random() < self.flip], spans)


def frozen_images(
    frozen: FrozenOutputs,
    dataset: SampleSet,
    share: Sequence[int] | None = None,
    progress: Report | None = None,
) -> FrozenImages:
    """Whole images, as they are, with the outputs of frozen parts, which are computed where they are missing.

    Args:
        frozen: Of the model.
        dataset: Labelled images.
        share: Numbers of the images to take; by default all.
        progress: Progress callback.
    """
    share = range(len(dataset)) if share is None else share
    entries = []
    for done, index in enumerate(share, 1):
        sample = dataset[index]
        size = (sample.label.shape[0], sample.label.shape[1])
        entries.append(KeptImage(frozen.keep(sample.image, sample.label), size, size))
        if progress:
            progress(done, len(share))
    return FrozenImages(Reader(frozen), entries)


def frozen_crops(
    frozen: FrozenOutputs,
    dataset: SampleSet,
    crop: tuple[int, int],
    *,
    scales: Sequence[float] = (1.0,),
    flip: float = 0.5,
    base: int | None = None,
    base_side: BaseSide = "short",
    seed: int = 0,
    first: int = 0,
    progress: Report | None = None,
) -> FrozenCrops:
    """Random crops for training, with the outputs of frozen parts, which are computed where they are missing.

    The network sees each image whole, once for each scale, and mirrored apart, because networks are not exactly
    symmetric. Images are padded with the mean colour to the grid, see `CoarseGrid.padded`; crops lie on it. An image
    smaller than the crop is placed at its top left. With crops of the size of the images, and scale 1, samples are
    those of a `TrainTransform` without jitter and blur, at the same seed.

    Example:
        `loader = DataLoader(crops, 8, sampler=SampleStream(len(crops), seed=0))`, and for each of its
        `images, labels, coarse` the field `model.field_of(coarse, images)`.

    Args:
        frozen: Of the model.
        dataset: Labelled images.
        crop: (height, width) in pixels: the size of the images, or on the grid of the model's stride.
        scales: Factors by which images are scaled, one of them at random.
        flip: Probability of a mirrored image.
        base: See `TrainTransform`.
        base_side: See `TrainTransform`.
        seed: Of the augmentation.
        first: Number of the image to begin with, so that processes that share a folder divide the work.
        progress: Progress callback.

    Raises:
        ValueError: If the crops do not fit the grid, or the maps of the model do not lie on it.
    """

    def entry(image: Tensor, label: Tensor) -> KeptImage:
        size = (label.shape[0], label.shape[1])
        padded = [frozen.grid.padded(length, part) for length, part in zip(size, crop, strict=True)]
        return KeptImage(frozen.keep(image, label, crop), size, (padded[0], padded[1]))

    def pair(image: Tensor, label: Tensor, scale: float) -> tuple[KeptImage, KeptImage]:
        scale *= base_scale(label.shape, base, base_side)
        image, label = resize_labelled(image, label, [max(1, round(length * scale)) for length in label.shape])
        sides = [False] * (flip < 1) + [True] * (flip > 0)
        kept = [entry(image.flip(-1), label.flip(-1)) if mirrored else entry(image, label) for mirrored in sides]
        return kept[0], kept[-1]

    entries: list[list[tuple[KeptImage, KeptImage]]] = [[]] * len(dataset)
    for done in range(len(dataset)):
        index = (first + done) % len(dataset)
        sample = dataset[index]
        entries[index] = [pair(sample.image, sample.label, scale) for scale in scales]
        if progress:
            progress(done + 1, len(dataset))
    return FrozenCrops(Reader(frozen), entries, crop, flip, seed)
