"""Upper bounds of decoders: mIoU of labels that are compressed to a coarse grid and reconstructed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

import torch

from offstride.data import SampleSet
from offstride.evaluate import (
    Coarse,
    Interpolation,
    LabelDecoder,
    LabelTraining,
    Trained,
    label_decoder,
    learned_bound,
    mean_and_deviation,
    reconstruction_bounds,
)
from offstride.experiments.bases import fit_basis
from offstride.experiments.store import CPU, Progress, no_progress
from offstride.upsamplers import LabelBasis


@dataclass(frozen=True)
class Bound:
    """A direct bound: labels are compressed and reconstructed without training.

    Attributes:
        scale: Width r of a window, in pixels.
        decoder: `"dupsampling"`, `"bilinear"` or `"nearest"`.
        channels: Channels of the code of DUpsampling; number of classes for interpolation.
        coarse: Labels that are interpolated: `"average"` or `"point"`; None for DUpsampling.
        miou: In 0 … 1.
        pixel_accuracy: In 0 … 1.
    """

    scale: int
    decoder: str
    channels: int
    coarse: str | None
    miou: float
    pixel_accuracy: float


@dataclass(frozen=True)
class Learned:
    """A learned bound: mIoU of each seed, mean and standard deviation, in 0 … 1."""

    scale: int
    decoder: str
    channels: int
    steps: int
    miou: list[float]
    mean: float
    sd: float


def label_bases(
    files: Sequence[Path],
    scales: Sequence[int],
    channels: int,
    classes: int,
    fit_set: Callable[[], SampleSet],
    progress: Progress = no_progress,
) -> dict[int, LabelBasis]:
    """A basis for each scale, from a file or fitted; it also serves for fewer channels.

    Args:
        files: Files of bases.
        scales: Widths of the windows, in pixels.
        channels: Channels of a fitted basis; fewer if a window has fewer entries.
        classes: Number of classes.
        fit_set: Opens the data set that bases are fitted to; called only if one is fitted.
        progress: Progress bars.

    Raises:
        ValueError: If a file holds no basis, or one of other classes or scales.
    """
    bases: dict[int, LabelBasis] = {}
    for path in files:
        basis = LabelBasis.load(path)
        if basis.classes != classes or basis.scale not in scales:
            raise ValueError(
                f"basis {path}: expected {classes} classes and a window of {scales}, "
                f"got {basis.classes} and {basis.scale}"
            )
        bases[basis.scale] = basis
    for scale in scales:
        if scale not in bases:
            with progress(f"basis of windows of {scale}") as report:
                bases[scale] = fit_basis(fit_set(), scale, min(channels, scale**2 * classes), report)
    return bases


def direct_bounds(
    dataset: SampleSet,
    bases: Mapping[int, LabelBasis],
    channels: Sequence[int],
    progress: Progress = no_progress,
) -> list[Bound]:
    """Bounds of all decoders at all scales, in one pass over the data."""
    decoders: dict[tuple[int, str, int, str | None], LabelDecoder] = {}
    classes = len(dataset.classes)
    for scale, basis in bases.items():
        for count in sorted({min(count, basis.channels) for count in channels}):
            decoders[scale, "dupsampling", count, None] = label_decoder(basis, scale, classes, channels=count)
        for kind, coarse in product(get_args(Interpolation), get_args(Coarse)):
            decoders[scale, kind, classes, coarse] = label_decoder(kind, scale, classes, coarse=coarse)
    with progress("compressing labels") as report:
        scores = reconstruction_bounds(dataset, decoders, progress=report)
    return [Bound(*key, score.miou, score.pixel_accuracy) for key, score in scores.items()]


def learned_bounds(
    train_set: SampleSet,
    val_set: SampleSet,
    bases: Mapping[int, LabelBasis],
    training: LabelTraining,
    seeds: int,
    device: torch.device = CPU,
    progress: Progress = no_progress,
) -> list[Learned]:
    """Bounds of networks whose input is labels, at all scales, trained once for each seed."""
    rows = []
    for scale, decoder in product(bases, get_args(Trained)):
        basis = bases[scale] if decoder == "dupsampling" else None
        scores = []
        for seed in range(seeds):
            with progress(f"training {decoder} {scale}, seed {seed}") as report:
                options = {"seed": seed, "basis": basis, "device": device, "progress": report}
                scores.append(learned_bound(train_set, val_set, decoder, scale, training, **options).scores.miou)
        channels = training.channels if basis else len(val_set.classes)
        rows.append(Learned(scale, decoder, channels, training.steps, scores, *mean_and_deviation(scores)))
    return rows
