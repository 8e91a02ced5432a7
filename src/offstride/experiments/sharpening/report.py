"""The report of a sharpened model as plain values, from which the page, the table and the JSON are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offstride.compare import Entry, ImageCounts, Resampling, compare
from offstride.data import ClassSet, SampleSet
from offstride.experiments.report import hardware
from offstride.experiments.sharpening.choosing import gain_remarks, gain_warnings
from offstride.experiments.sharpening.counting import Counted
from offstride.experiments.sharpening.frozen import Frozen
from offstride.experiments.sharpening.methods import Method
from offstride.experiments.sharpening.pictures import image_scores
from offstride.visualize.page import versions
from offstride.visualize.sharpening import text

CHANGES = ("pixels", "right", "wrong", "still", "unknown")


@dataclass(frozen=True, eq=False)
class Scored:
    """The rows of the table.

    Args:
        methods: The first is the model as it is.
        counted: Of each method.
        after: The one that is kept.
        training: What was trained, and whether it is kept; None if nothing was.
    """

    methods: Sequence[Method]
    counted: Sequence[Counted]
    after: Method
    training: Mapping[str, Any] | None = None

    def counts_of(self, method: Method) -> ImageCounts:
        """Counts of a method."""
        return self.counted[self.methods.index(method)].counts

    def changes(self) -> dict[str, int]:
        """Pixels whose labels the kept method changes, over all images."""
        totals = self.counted[self.methods.index(self.after)].changes.sum(0)
        return dict(zip(CHANGES, map(int, totals), strict=True))

    def winners(self) -> dict[str, int]:
        """Images whose boundary IoU the kept method raises and lowers, and all that have one."""
        gained = image_scores(self.counts_of(self.after)) - image_scores(self.counts_of(self.methods[0]))
        scored = gained[~np.isnan(gained)]
        return {"scored": len(scored), "gain": int((scored > 0).sum()), "lose": int((scored < 0).sum())}


def scored_report(
    scored: Scored,
    costs: Sequence[Mapping[str, Any]],
    dataset: SampleSet,
    name: str,
    split: str,
    resampling: Resampling,
    reference: str,
) -> dict[str, Any]:
    """The report with scores.

    Args:
        scored: Methods and their counts.
        costs: Of each method, see `method_costs`.
        dataset: The images.
        name: Of the data set.
        split: Of it.
        resampling: How intervals are made.
        reference: Where the model came from.
    """
    entries = [
        Entry(method.name, [counted.counts], method.description, method.paper, costs=cost)
        for method, counted, cost in zip(scored.methods, scored.counted, costs, strict=True)
    ]
    before = scored.methods[0].name
    content = {
        "title": _title(reference),
        "data": _data(dataset.classes, name, split, len(dataset)),
        "sharpened": {
            "before": before,
            "after": scored.after.name,
            "training": scored.training,
            "changes": scored.changes(),
            "images": scored.winners(),
        },
        **compare(entries, dataset.classes, resampling),
        "made": {"versions": versions(), "hardware": hardware()},
    }
    learned = bool(scored.training)
    content["warnings"] = gain_warnings(content, trained=learned)
    content["remarks"] = [*filter(None, [text.choice(content)]), *gain_remarks(content)]
    content["facts"] = _facts(content, scored.after) | _price(content)
    return content


def unscored_report(before: Method, after: Method, frozen: Frozen, images: int, reference: str) -> dict[str, Any]:
    """The report on photographs without labels."""
    content = {
        "title": _title(reference),
        "data": _data(frozen.classes, "photographs", "", images),
        "sharpened": {"before": before.name, "after": after.name, "training": None, "changes": None, "images": None},
        "baseline": before.name,
        "entries": [],
        "warnings": [],
        "remarks": [],
        "made": {"versions": versions(), "hardware": hardware()},
    }
    content["facts"] = _facts(content, after)
    return content


def _title(reference: str) -> str:
    """The name of a file with that of its folder, or a reference as it is."""
    path = Path(reference)
    return f"{path.absolute().parent.name}/{path.name}" if path.suffix == ".safetensors" else reference


def _data(classes: ClassSet, name: str, split: str, images: int) -> dict[str, Any]:
    return {
        "name": name,
        "split": split,
        "images": images,
        "classes": list(classes.names),
        "colors": [list(color) for color in classes.palette],
        "thin": list(classes.thin),
    }


def _facts(content: Mapping[str, Any], after: Method) -> dict[str, str]:
    data = content["data"]
    parameters = sum(parameter.numel() for parameter in after.upsampler.parameters())
    images = f"{data['images']:,} image{'s' * (data['images'] != 1)}"
    return {
        "Model": content["title"],
        "Images": ", ".join(filter(None, [f"{data['name']} {data['split']}".strip(), images])),
        "Upsampler": f"{after.name} in place of {content['sharpened']['before']}, {parameters:,} parameters",
    }


def _price(content: Mapping[str, Any]) -> dict[str, str]:
    """Time of an image before and after; empty if it was not measured."""
    found = [text.entry(content, role)["costs"].get("devices") for role in ("before", "after")]
    if not all(found):
        return {}
    before, after = (1000 * next(iter(devices.values()))["latency"] for devices in found if devices)
    return {"Time of an image": f"{before:.0f} → {after:.0f} ms ({100 * (after / before - 1):+.0f} %)"}
