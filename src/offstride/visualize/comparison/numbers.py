"""Numbers of a comparison as text, the same on the page and in Markdown.

Scores are shares of 1 and are shown in per cent, differences in percentage points, both to two decimals: what is
compared is often smaller than one point. `None` and NaN are shown as a dash.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from offstride.visualize.tables import MINUS, NOTHING

Verdict = Literal["better", "worse", "unclear", "none"]

MARKS: Mapping[Verdict, str] = {"better": "▲", "worse": "▼", "unclear": "", "none": ""}

_METRICS = {
    "miou": "mIoU",
    "boundary_iou": "Boundary IoU",
    "thin_iou": "IoU of thin classes",
    "pixel_accuracy": "Pixel accuracy",
}


def metric_name(metric: str) -> str:
    """What a metric is called; one that is not known by its key, with spaces."""
    return _METRICS.get(metric, metric.replace("_", " ").capitalize())


def known(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and math.isfinite(value)


def points(value: float | None, *, sign: bool = False) -> str:
    """A share in per cent; with `sign`, a difference: an interval that ends just above zero shows +0.00."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return format(100 * value, "+.2f" if sign and value else ".2f").replace("-", MINUS)


def interval(ends: Sequence[float | None] | None) -> str:
    """`[low, high]` of a difference."""
    if ends is None or not all(map(known, ends)):
        return NOTHING
    return f"[{points(ends[0], sign=True)}, {points(ends[1], sign=True)}]"


def trimap(entry: Mapping[str, Any], width: float) -> Mapping[str, Any] | None:
    """The score of an entry near borders; None if there is none."""
    return next((band.get("miou") for band in entry.get("trimap") or () if band["width"] == width), None)


def mean_and_sd(score: Mapping[str, Any] | None) -> str:
    """`mean ± sd`, without the latter where there is one run."""
    if not score or not known(score.get("mean")):
        return NOTHING
    sd = score.get("sd")
    return points(score["mean"]) + (f" ± {points(sd)}" if known(sd) else "")


def change(score: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The difference to the baseline, if there is one with a number."""
    found = (score or {}).get("difference")
    return found if found and known(found.get("mean")) else None


def verdict(score: Mapping[str, Any] | None) -> Verdict:
    """Whether a score is clearly better or worse than that of the baseline; none without a difference."""
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
    if number is None or not math.isfinite(number):
        return NOTHING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{_three_digits(number / size)} {unit}"
    return f"{number:g}"


def memory(size: float | None) -> str:
    """Bytes to three digits, in binary units: 11.8 MiB."""
    if size is None or not math.isfinite(size):
        return NOTHING
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 0.9995 * 2**power:
            return f"{_three_digits(size / 2**power)} {unit}"
    return f"{size:g} B"


def milliseconds(seconds: float | None) -> str:
    """A time in milliseconds to three digits, without its unit."""
    return _three_digits(1000 * seconds) if seconds is not None and math.isfinite(seconds) else NOTHING


def _three_digits(number: float) -> str:
    """Three digits, more before the point where there are more."""
    for limit, spec in ((9.995, ".2f"), (99.95, ".1f")):
        if abs(number) < limit:
            return format(number, spec)
    return format(number, ".0f")


@dataclass(frozen=True)
class CostColumn:
    """One cost of every entry.

    Args:
        group: What its columns have in common: the model, or a device.
        name: What it is, with its unit if the cells have none.
        cells: One per entry.
    """

    group: str
    name: str
    cells: Sequence[str]


def cost_columns(entries: Sequence[Mapping[str, Any]]) -> list[CostColumn]:
    """The costs that are known of at least one entry, those of devices last."""
    costs = [entry.get("costs") or {} for entry in entries]
    columns = [
        CostColumn("Model", name, [text(cost.get(key)) for cost in costs])
        for key, name, text in (
            ("parameters", "Parameters", count),
            ("upsampler_parameters", "of these: upsampler", count),
            ("macs", "MACs", count),
            ("activation_bytes", "Training activations", memory),
        )
    ]
    for device in devices(entries):
        columns += _device_columns(device, [(cost.get("devices") or {}).get(device) or {} for cost in costs])
    return [column for column in columns if set(column.cells) != {NOTHING}]


def devices(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of all devices that anything was timed on, in the order of the first mention."""
    return list(dict.fromkeys(key for entry in entries for key in (entry.get("costs") or {}).get("devices") or ()))


def image_size(entries: Sequence[Mapping[str, Any]]) -> str:
    """Height × width of the image that costs are of; empty if they differ or are unknown."""
    sizes = {tuple(size) for entry in entries if (size := (entry.get("costs") or {}).get("size"))}
    return " × ".join(map(str, sizes.pop())) if len(sizes) == 1 else ""


def device_name(entries: Sequence[Mapping[str, Any]], device: str) -> str:
    """What a device is called: CPU or GPU, and what it says of itself."""
    found = ((entry.get("costs") or {}).get("devices") or {} for entry in entries)
    name = next((str(them[device]["name"]) for them in found if (them.get(device) or {}).get("name")), "")
    kind = {"cpu": "CPU", "cuda": "GPU"}.get(device, device)
    return f"{kind}, {name}" if name else kind


def _device_columns(device: str, timed: Sequence[Mapping[str, Any]]) -> list[CostColumn]:
    kinds: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
        ("Latency, ms (quartiles)", _latency),
        ("Images per second", _throughput),
        ("Peak memory", lambda cost: memory(cost.get("peak_bytes"))),
    )
    return [CostColumn(device, name, [text(cost) for cost in timed]) for name, text in kinds]


def _latency(cost: Mapping[str, Any]) -> str:
    median, ends = milliseconds(cost.get("latency")), cost.get("quartiles")
    return f"{median} ({NOTHING.join(map(milliseconds, ends))})" if ends and all(map(known, ends)) else median


def _throughput(cost: Mapping[str, Any]) -> str:
    speed = cost.get("images_per_second")
    return NOTHING if speed is None or not math.isfinite(speed) else _three_digits(speed)
