"""Numbers of a comparison as text, the same on the page and in Markdown.

Scores are shares of 1 and are shown in per cent, differences in percentage points, both to two decimals, as many
differences are smaller than one point. `None` and NaN are shown as a dash.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeGuard

from offstride.visualize.tables import MINUS, NOTHING

Verdict = Literal["better", "worse", "unclear", "none"]

MODEL = "Model"
"""The group of costs that depend on no device."""

MARKS: Mapping[Verdict, str] = {"better": "▲", "worse": "▼", "unclear": "", "none": ""}

_METRICS = {
    "miou": "mIoU",
    "boundary_iou": "Boundary IoU",
    "thin_iou": "IoU of thin classes",
    "pixel_accuracy": "Pixel accuracy",
}


def metric_name(metric: str) -> str:
    """Name of a metric; an unknown one is called by its key, with spaces."""
    return _METRICS.get(metric, metric.replace("_", " ").capitalize())


def known(value: float | None) -> TypeGuard[float]:
    """Whether there is a finite number."""
    return value is not None and math.isfinite(value)


def points(value: float | None, *, sign: bool = False) -> str:
    """A share in per cent; with `sign`, a difference: an interval that ends just above zero shows +0.00."""
    return format(100 * value, "+.2f" if sign and value else ".2f").replace("-", MINUS) if known(value) else NOTHING


def interval(ends: Sequence[float | None] | None) -> str:
    """`[low, high]` of a difference."""
    if ends is None or not all(map(known, ends)):
        return NOTHING
    return f"[{points(ends[0], sign=True)}, {points(ends[1], sign=True)}]"


def trimap(entry: Mapping[str, Any], width: float) -> Mapping[str, Any] | None:
    """The score of an entry near borders; None if there is none."""
    return next((band.get("miou") for band in entry.get("trimap") or () if band["width"] == width), None)


def class_score(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The IoU of an entry for a class; empty if there is none."""
    return (entry.get("classes") or {}).get(name) or {}


def mean_and_sd(score: Mapping[str, Any] | None) -> str:
    """`mean ± sd`; the mean alone if there is one run."""
    if not score or not known(score.get("mean")):
        return NOTHING
    sd = score.get("sd")
    return points(score["mean"]) + (f" ± {points(sd)}" if known(sd) else "")


def change(score: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The difference to the baseline; None if its mean is not known."""
    difference = (score or {}).get("difference")
    return difference if difference and known(difference.get("mean")) else None


def verdict(score: Mapping[str, Any] | None) -> Verdict:
    """Whether a score is clearly better or worse than that of the baseline; `"none"` without a difference."""
    difference = change(score)
    if difference is None:
        return "none"
    if not difference.get("clear") or not difference["mean"]:
        return "unclear"
    return "better" if difference["mean"] > 0 else "worse"


def signed(score: Mapping[str, Any] | None) -> str:
    """The difference to the baseline with its mark, such as `+0.62 ▲`; empty without a difference."""
    difference = change(score)
    return f"{points(difference['mean'], sign=True)} {MARKS[verdict(score)]}".strip() if difference else ""


def count(number: float | None) -> str:
    """A count to three digits: 2.91 M."""
    return _with_unit(number, {"G": 1e9, "M": 1e6, "k": 1e3})


def memory(size: float | None) -> str:
    """Bytes to three digits, in binary units: 11.8 MiB."""
    return _with_unit(size, {"GiB": 2.0**30, "MiB": 2.0**20, "KiB": 2.0**10}, " B")


def _with_unit(number: float | None, units: Mapping[str, float], smallest: str = "") -> str:
    """Three digits and the largest unit that fits, or the number itself and the name of the smallest unit."""
    if not known(number):
        return NOTHING
    fitting = (f"{_three_digits(number / size)} {unit}" for unit, size in units.items() if number >= 0.9995 * size)
    return next(fitting, f"{number:g}{smallest}")


def _three_digits(number: float | None, scale: float = 1) -> str:
    """Three digits of the scaled number, more before the point where there are more."""
    if not known(number):
        return NOTHING
    digits = next((digits for limit, digits in ((9.995, 2), (99.95, 1)) if abs(scale * number) < limit), 0)
    return f"{scale * number:.{digits}f}"


def cost_columns(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[str, list[str]]]]:
    """The costs that are known of at least one entry: of the model, then of each device by its name.

    Returns:
        Group -> columns: what it is, with its unit if the cells have none, and one cell per entry.
    """
    kinds = (
        ("parameters", "Parameters", count),
        ("upsampler_parameters", "of these: upsampler", count),
        ("macs", "MACs", count),
        ("activation_bytes", "Training activations", memory),
    )
    groups = {MODEL: [(name, [text(costs(entry).get(key)) for entry in entries]) for key, name, text in kinds]}
    for device in devices(entries):
        timed = [device_cost(entry, device) for entry in entries]
        groups[device_name(entries, device)] = [
            ("Latency, ms (quartiles)", [_latency(cost) for cost in timed]),
            ("Images per second", [_three_digits(cost.get("images_per_second")) for cost in timed]),
            ("Peak memory", [memory(cost.get("peak_bytes")) for cost in timed]),
        ]
    for group, columns in groups.items():
        groups[group] = [(name, cells) for name, cells in columns if set(cells) != {NOTHING}]
    return {group: columns for group, columns in groups.items() if columns}


def costs(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The costs of an entry; empty if they were not measured."""
    return entry.get("costs") or {}


def device_cost(entry: Mapping[str, Any], device: str) -> Mapping[str, Any]:
    """What was measured of an entry on a device; empty if nothing was."""
    return (costs(entry).get("devices") or {}).get(device) or {}


def devices(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of all devices with timings, in the order of their first entry."""
    return list(dict.fromkeys(key for entry in entries for key in costs(entry).get("devices") or ()))


def image_size(entries: Sequence[Mapping[str, Any]]) -> str:
    """Height × width of the image for which costs were measured; empty if sizes differ or are unknown."""
    sizes = {tuple(size) for entry in entries if (size := costs(entry).get("size"))}
    return " × ".join(map(str, sizes.pop())) if len(sizes) == 1 else ""


def device_name(entries: Sequence[Mapping[str, Any]], device: str) -> str:
    """CPU or GPU, and the name of the device if it is known."""
    name = next(filter(None, (device_cost(entry, device).get("name") for entry in entries)), "")
    kind = {"cpu": "CPU", "cuda": "GPU"}.get(device, device)
    return f"{kind}, {name}" if name else kind


def _latency(cost: Mapping[str, Any]) -> str:
    median, ends = _three_digits(cost.get("latency"), 1000), cost.get("quartiles")
    if not ends or not all(map(known, ends)):
        return median
    return f"{median} ({NOTHING.join(_three_digits(end, 1000) for end in ends)})"
