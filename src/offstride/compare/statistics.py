"""Scores of image counts, and confidence intervals of differences.

A difference is paired: both methods are scored on the same images, and runs of one seed start from the same weights
and see the same crops. Three intervals answer three questions. Over images: would it be there on other images of this
kind (a bootstrap, in blocks where neighbouring images are alike, such as frames of a video)? Over seeds: would it be
there in other runs (Student's t)? Over both: a bootstrap that draws images and seeds anew together; with a few seeds it
is too narrow, which is why the second is there.

Shapes: N images, S runs, M scores, R resamples, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from offstride.compare.counts import ImageCounts


@dataclass(frozen=True)
class ScoreNames:
    """Names of the scores that follow from counts, in order.

    Args:
        classes: Names of the classes.
        thin: Those of them whose objects are thin.
        widths: Half-widths of the trimaps.
    """

    classes: tuple[str, ...]
    thin: tuple[str, ...]
    widths: tuple[int, ...]

    @property
    def metrics(self) -> list[str]:
        """The scores that methods are compared by."""
        return ["miou", "boundary_iou", *(["thin_iou"] if self.thin else []), "pixel_accuracy"]

    @property
    def names(self) -> list[str]:
        """All scores: metrics, mIoU in the trimaps, IoU of the classes."""
        trimaps = [f"trimap {width}" for width in self.widths]
        return [*self.metrics, *trimaps, *(f"class {name}" for name in self.classes)]

    def of(self, counts: ImageCounts, weights: np.ndarray) -> np.ndarray:
        """Scores of choices of images.

        Args:
            counts: Of N images.
            weights: `(R, N)` how often each image is in each choice.

        Returns:
            `(R, M)` shares of 1, NaN where there is nothing to score.
        """
        correct, predicted, labelled = (
            np.einsum("rn,n...->r...", weights, part, optimize=True)
            for part in (counts.found, counts.predicted, counts.labelled)
        )
        iou = _ratio(correct, predicted + labelled - correct)  # (R, regions, C)
        band = _ratio(weights @ counts.band_found, weights @ counts.band_union)
        thin = [self.classes.index(name) for name in self.thin]
        columns = [_mean(iou[:, 0]), _mean(band)]
        columns += [_mean(iou[:, 0, thin])] if thin else []
        columns.append(_ratio(correct[:, 0].sum(-1), labelled[:, 0].sum(-1)))
        columns += [_mean(iou[:, 1 + region]) for region in range(len(self.widths))]
        return np.concatenate([np.stack(columns, 1), iou[:, 0]], 1)


def image_shares(runs: Sequence[ImageCounts], baseline: Sequence[ImageCounts]) -> np.ndarray:
    """Contribution of every image to the difference of two methods' mIoU, `(N,)`; the sum is the difference.

    With T true and U united pixels of a class over all images, T/U - T'/U' is the sum over images of
    (dT - dU T'/U') / U, where dT and dU are differences of the image's own counts: an image counts for a class by its
    pixels, and a rare class counts as much as a common one. The mIoU is that of all runs' pixels together, over the
    classes that both methods have a score for.
    """
    (correct, union), (base_correct, base_union) = _pooled(runs), _pooled(baseline)
    score = _ratio(base_correct.sum(0), base_union.sum(0))  # (C,)
    gained = correct - base_correct - (union - base_union) * score
    shares = _ratio(gained, np.broadcast_to(union.sum(0), union.shape))
    return _mean(shares)


def _pooled(runs: Sequence[ImageCounts]) -> tuple[np.ndarray, np.ndarray]:
    """`(N, C)` true and united pixels, means over the runs."""
    correct, predicted, labelled = (
        np.mean([getattr(run, name)[:, 0] for run in runs], 0) for name in ("found", "predicted", "labelled")
    )
    return correct, predicted + labelled - correct


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN if there is nothing else."""
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0).sum(-1), there.sum(-1))


def image_choices(images: int, resamples: int, block: int, random: np.random.Generator) -> np.ndarray:
    """Bootstrap choices of images: how often each is drawn, `(R, N)` float64; N are drawn each time.

    Args:
        images: Number N of images.
        resamples: Number R of choices.
        block: Number of consecutive images that are drawn together, wrapping around (the circular block bootstrap of
            Politis and Romano, 1992); 1 draws single images.
        random: Source of the choices.

    Raises:
        ValueError: If a number is out of range.
    """
    if resamples < 1:
        raise ValueError(f"resamples: expected 1 or more, got {resamples}")
    if not 1 <= block <= images:
        raise ValueError(f"block: expected 1 to {images}, the number of images, got {block}")
    starts = random.integers(images, size=(resamples, -(-images // block), 1))
    drawn = ((starts + np.arange(block)) % images).reshape(resamples, -1)[:, :images]
    choices = np.zeros((resamples, images))
    np.add.at(choices, (np.arange(resamples)[:, None], drawn), 1)
    return choices


def run_choices(runs: int, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Bootstrap choices of runs: `(R, S)` indices of runs."""
    return random.integers(runs, size=(resamples, runs))


def percentiles(values: np.ndarray, level: float) -> np.ndarray:
    """The middle share `level` of `(R, M)` resampled scores: `(2, M)`.

    Choices without a score, such as that of a class that none of the images shows, are left out; NaN if all are.
    """
    there = ~np.isnan(values).all(0)
    ends = np.full((2, values.shape[1]), np.nan)
    ends[:, there] = np.nanquantile(values[:, there], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends


def student_interval(differences: Sequence[float], level: float) -> tuple[float, float]:
    """Student's t interval of the mean of two or more paired differences."""
    count = len(differences)
    half = student.ppf((1 + level) / 2, count - 1) * np.std(differences, ddof=1) / count**0.5
    return float(np.mean(differences) - half), float(np.mean(differences) + half)
