"""Batches on which universal weights are fitted: crops of pictures, with coarse scores and labels of random classes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from offstride.experiments.universal.simulate import Chance, simulated_scores
from offstride.ops.grid import Origin
from offstride.ops.labels import IGNORE_INDEX

CROP = 192
"""Side of a crop, in pixels."""
STRIDES = (4, 8, 8, 16, 16, 32)
"""Strides of coarse scores, each as often as it stands here."""
MOST_CLASSES = 6
SHARP = 0.4
"""Share of crops with sharp scores, which teach that what is right already stays. With none, a model whose decoder is
fine loses, and cracks gain less."""


class Picture(NamedTuple):
    """A picture and the segments in it.

    Attributes:
        image: `(3, H, W)` uint8.
        segments: `(H, W)` uint8 numbers of segments; 255 is ignored.
    """

    image: Tensor
    segments: Tensor


class Batch(NamedTuple):
    """Attributes:
    images: `(B, 3, N, N)` in 0 … 1.
    scores: `(B, C, n, n)` coarse scores.
    labels: `(B, N, N)` uint8.
    origin: Pixel convention of the scores.
    """

    images: Tensor
    scores: Tensor
    labels: Tensor
    origin: Origin


def draw_batch(sources: Sequence[Sequence[Picture]], count: int, chance: Chance, stride: int | None = None) -> Batch:
    """A batch with one stride, origin and number of classes, in which every segment has a random class.

    Args:
        sources: Sets of pictures, each as likely as the others.
        count: Number of crops.
        chance: Source of randomness.
        stride: Of the scores; by default one of `STRIDES`.
    """
    plain = chance.plain
    stride = plain.choice(STRIDES) if stride is None else stride
    origin: Origin = plain.choice(("center", "aligned"))
    side = CROP if origin == "center" else CROP - stride + 1
    classes = plain.randint(2, MOST_CLASSES)
    images, scores, labels = [], [], []
    for _ in range(count):
        image, segments = _crop(plain.choice(plain.choice(sources)), side, chance)
        of_segment = torch.randint(0, classes, (IGNORE_INDEX + 1,), generator=chance.tensors)
        label = of_segment[segments]
        images.append(_exposed(image, chance))
        scores.append(simulated_scores(label, classes, stride, origin, chance, plain.random() < SHARP))
        labels.append(label.masked_fill(segments == IGNORE_INDEX, IGNORE_INDEX).to(torch.uint8))
    return Batch(torch.stack(images), torch.stack(scores), torch.stack(labels), origin)


def _crop(picture: Picture, side: int, chance: Chance) -> tuple[Tensor, Tensor]:
    """A random crop, mirrored half of the time: `(3, N, N)` in 0 … 1 and `(N, N)` int64."""
    H, W = picture.segments.shape
    top, left = chance.plain.randint(0, H - side), chance.plain.randint(0, W - side)
    rows, columns = slice(top, top + side), slice(left, left + side)
    image, segments = picture.image[:, rows, columns].float() / 255, picture.segments[rows, columns].long()
    return (image.flip(-1), segments.flip(-1)) if chance.plain.random() < 0.5 else (image, segments)


def _exposed(image: Tensor, chance: Chance) -> Tensor:
    """The image with another contrast and brightness, often another gamma, and at times grey."""
    plain = chance.plain
    image = (image * plain.uniform(0.6, 1.4) + plain.uniform(-0.2, 0.2)).clamp(0, 1)
    if plain.random() < 0.3:
        image = image ** plain.uniform(0.5, 2)
    return image.mean(0, keepdim=True).expand(3, -1, -1) if plain.random() < 0.15 else image
