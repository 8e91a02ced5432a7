"""The sentences of a sharpened model, the same on the page and in the terminal.

All read `report`: what `offstride sharpen` writes as report.json.
"""

from collections.abc import Mapping
from typing import Any

from offstride.visualize.comparison.numbers import change, known, metric_name
from offstride.visualize.tables import MINUS

Report = Mapping[str, Any]


def entry(report: Report, role: str) -> Mapping[str, Any]:
    """The row of a role: `"before"` or `"after"`."""
    return next(item for item in report["entries"] if item["name"] == report["sharpened"][role])


def percent(value: float | None, *, sign: bool = False) -> str:
    """A share in per cent, with one digit."""
    return format(100 * value, "+.1f" if sign and value else ".1f").replace("-", MINUS) if known(value) else "–"


def ends(interval: Any) -> str:
    """An interval in words: `+4.0 … +5.4`."""
    return " … ".join(percent(end, sign=True) for end in interval) if interval else "unknown"


def gain(report: Report, metric: str) -> str:
    """A score before and after: `Boundary IoU 48.1 → 52.8 (+4.7, 95 % interval +4.0 … +5.4)`."""
    before, after = (entry(report, role)["scores"][metric] for role in ("before", "after"))
    difference = change(after) or {}
    inside = f"{percent(difference.get('mean'), sign=True)}, {100 * report['level']:g} % interval "
    inside += ends(difference.get("images"))
    return f"{metric_name(metric)} {percent(before['mean'])} → {percent(after['mean'])} ({inside})"


def headline(report: Report) -> str:
    """The heading of the page."""
    if not report["entries"]:
        return "Before and after"
    if report["warnings"]:
        return "It does not gain here"
    difference = change(entry(report, "after")["scores"]["boundary_iou"]) or {}
    untrained = "" if _taught(report) else " without training"
    return f"{percent(difference.get('mean'), sign=True)} points of boundary IoU{untrained}"


def summary(report: Report) -> str:
    """The result in a sentence or two."""
    taught = _taught(report)
    how = f"Only the upsampler was trained. {_untrained(report)}".strip() if taught else "Not one step of training."
    if not report["entries"]:
        return f"{how} There are no labels, so which of the pixels that change are better is for your eyes to judge."
    return f"{gain(report, 'boundary_iou')}, {gain(report, 'miou')}. {how}"


def _taught(report: Report) -> bool:
    """Whether the upsampler that is kept learned from labels."""
    taught = report["sharpened"]["training"]
    return bool(taught and taught["chosen"])


def _untrained(report: Report) -> str:
    """What the upsampler gains before it is trained."""
    start = next(item for item in report["entries"] if item["name"] == report["sharpened"]["training"]["start"])
    difference = change(start["scores"]["boundary_iou"])
    return f"Without training: {percent(difference['mean'], sign=True)}." if difference else ""


def choice(report: Report) -> str:
    """What became of the training; empty without one."""
    taught = report["sharpened"]["training"]
    if not taught:
        return ""
    if not taught["chosen"]:
        return f"Training did not gain on {taught['choice']}: the upsampler without training is kept."
    text = f"The trained upsampler after {taught['step']} steps is kept: the best on {taught['choice']}."
    if taught["choice"] == report["data"]["split"]:
        text += " It was chosen on the images that are scored here, which flatters its row; score another split to see."
    return text


def changes(report: Report) -> str:
    """How many pixels change, and how many of them to the better."""
    counts = report["sharpened"]["changes"]
    if not counts or not counts["pixels"]:
        return ""
    moved = sum(counts[name] for name in ("right", "wrong", "still", "unknown"))
    text = f"{_share(moved, counts['pixels'])} of all pixels change."
    judged = moved - counts["unknown"]
    if judged:
        now, then = (_share(counts[name], judged) for name in ("right", "wrong"))
        text += f" Of those with a true label, {now} are right now, {then} were right before"
        text += f", {_share(counts['still'], judged)} were wrong and still are."
    return text


def winners(report: Report) -> str:
    """How many images gain."""
    images = report["sharpened"]["images"]
    if not images:
        return ""
    return (
        f"Boundary IoU rises in {images['gain']} of {images['scored']} images and falls in {images['lose'] or 'none'}."
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def notes(report: Report) -> list[str]:
    """How to read the page."""
    texts = [
        "The universal upsampler moves the places where pixels read the coarse scores. It sees the image and a "
        "description of the scores, not the classes or the features of the model, and was trained on drawn scenes."
    ]
    if not report["entries"]:
        return texts
    block = report["block"]
    drawn = f" in blocks of {block} consecutive images" if block > 1 else ""
    return [
        *texts,
        f"Intervals ({100 * report['level']:g} %) are paired: images are drawn anew{drawn} {report['resamples']:,} "
        "times, and both rows are scored on the same ones. A difference is called clear, ▲ better or ▼ worse, if its "
        "interval leaves out zero.",
        "Boundary IoU counts pixels within 2 % of the image's diagonal of a border (Cheng et al., CVPR 2021). Near the "
        "borders: mIoU of the pixels at most so far from another true class. The boundary IoU of a single image is the "
        "mean over the classes that it shows or is said to show.",
    ]
