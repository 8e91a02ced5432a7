"""Which upsampler is kept: the one without training, or the best of those that learned."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offstride.compare import ImageCounts, ScoreNames
from offstride.data import ClassSet
from offstride.visualize.comparison.numbers import metric_name
from offstride.visualize.sharpening import text

JUDGED = ("boundary_iou", "miou")
"""Scores that have to gain."""


def merit(counts: ImageCounts, classes: ClassSet) -> float:
    """What an upsampler is chosen by: the mean of mIoU and boundary IoU."""
    scoring = ScoreNames(classes.names, (), ())
    scores = scoring.of(counts, np.ones((1, len(counts))))[0]
    return float(np.nanmean([scores[scoring.names.index(name)] for name in JUDGED]))


def best(candidates: Sequence[ImageCounts], classes: ClassSet) -> int:
    """Number of the candidate with the most merit, the first of equal ones."""
    return int(np.argmax([merit(counts, classes) for counts in candidates]))


def gain_warnings(report: Mapping[str, Any], *, trained: bool) -> list[str]:
    """A warning if a score does not gain: the mean difference is not above 0."""
    after = text.entry(report, "after")
    lost = [metric for metric in JUDGED if not _mean(after, metric) > 0]
    if not lost:
        return []
    advice = "keep the model as it is" + ("" if trained else ", or let the upsampler learn from labels: --train")
    return [f"{' and '.join(_named(after, metric) for metric in lost)}: it does not gain here; {advice}."]


def gain_remarks(report: Mapping[str, Any]) -> list[str]:
    """A remark for each gain that is not clear."""
    after = text.entry(report, "after")
    level = f"{100 * report['level']:g} % interval"
    return [
        f"The gain in {metric_name(metric)} is not clear: its {level} holds 0."
        for metric in JUDGED
        if _mean(after, metric) > 0 and not after["scores"][metric]["difference"]["clear"]
    ]


def _mean(entry: Mapping[str, Any], metric: str) -> float:
    difference = entry["scores"][metric]["difference"]
    return (difference and difference["mean"]) or 0.0


def _named(entry: Mapping[str, Any], metric: str) -> str:
    difference = entry["scores"][metric]["difference"]
    return f"{metric_name(metric)} {text.percent(difference['mean'], sign=True)} ({text.ends(difference['images'])})"
