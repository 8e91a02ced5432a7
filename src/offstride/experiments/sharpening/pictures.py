"""Images before and after: from a data set, and photographs without labels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from offstride.compare import ImageCounts, ScoreNames
from offstride.data import SampleSet, normalize, open_pixels
from offstride.experiments.sharpening.counting import predict_all
from offstride.experiments.sharpening.frozen import Frozen
from offstride.experiments.sharpening.methods import Method
from offstride.inference import InferenceProtocol, predict_pixels
from offstride.visualize.sharpening.layers import BeforeAfter, Group

Progress = Callable[[int, int], None]
EXTREMES = 3
"""Number of images shown where it gains, and as many where it loses."""


def scored_pictures(
    before: Method,
    after: Method,
    counts: tuple[ImageCounts, ImageCounts],
    frozen: Frozen,
    dataset: SampleSet,
) -> Iterator[BeforeAfter]:
    """A typical image, those where the second method gains most, and those where it loses most: by the boundary IoU of
    each image alone.
    """
    scores = np.stack([image_scores(each) for each in counts], 1)
    for group, index in chosen_images(scores[:, 1] - scores[:, 0]):
        sample = dataset[index]
        image = normalize(sample.image, frozen.model.mean, frozen.model.std)[None].to(frozen.device)
        own, new = (labels[0].cpu().numpy() for labels in predict_all([before, after], frozen, image))
        pixels = sample.image.permute(1, 2, 0).contiguous().numpy()
        before_after = (float(scores[index, 0]), float(scores[index, 1]))
        yield BeforeAfter(group, sample.name, pixels, own, new, sample.label.numpy(), before_after)


def image_scores(counts: ImageCounts) -> np.ndarray:
    """`(N,)` boundary IoU of every image alone, NaN where there is nothing to score."""
    scoring = ScoreNames(tuple(map(str, range(counts.found.shape[2]))), (), ())
    return scoring.of(counts, np.eye(len(counts)))[:, scoring.names.index("boundary_iou")]


def chosen_images(gained: np.ndarray) -> Iterator[tuple[Group, int]]:
    """The image of the median gain, those of the greatest gains, and those of the greatest losses, worst first."""
    order = [int(index) for index in np.argsort(gained, kind="stable") if not np.isnan(gained[index])]
    if order:
        yield "typical", order[len(order) // 2]
    for index in reversed(order[-EXTREMES:]):
        if gained[index] > 0:
            yield "gains", index
    for index in order[:EXTREMES]:
        if gained[index] < 0:
            yield "losses", index


def photographs(
    before: Method,
    after: Method,
    frozen: Frozen,
    images: Mapping[Path, Path],
    protocol: InferenceProtocol,
    progress: Progress,
) -> Iterator[BeforeAfter]:
    """Photographs without labels.

    Args:
        before: The first method.
        after: The second.
        frozen: The model.
        images: Files by the names of their results, see `find_images`.
        protocol: How they are predicted; whole or in windows.
        progress: Called with the number of images done and their total.

    Raises:
        ValueError: If a file cannot be read.
    """
    for done, (name, path) in enumerate(images.items(), 1):
        pixels = np.ascontiguousarray(open_pixels(path))
        own, new = _labels([before, after], frozen, pixels, protocol)
        yield BeforeAfter("yours", str(name), pixels, own, new)
        progress(done, len(images))


def _labels(
    methods: Sequence[Method], frozen: Frozen, pixels: np.ndarray, protocol: InferenceProtocol
) -> list[np.ndarray]:
    if not protocol.plain:
        return [predict_pixels(_Whole(frozen, it), pixels, protocol)[0].numpy() for it in methods]
    image = normalize(torch.from_numpy(pixels).permute(2, 0, 1), frozen.model.mean, frozen.model.std)
    return [labels[0].cpu().numpy() for labels in predict_all(methods, frozen, image[None].to(frozen.device))]


class _Whole:
    """The frozen model with one method, as `predict_pixels` takes it."""

    def __init__(self, frozen: Frozen, method: Method) -> None:
        self.mean, self.std, self.device = frozen.model.mean, frozen.model.std, frozen.device
        self.field = frozen.predict(method.upsampler)
