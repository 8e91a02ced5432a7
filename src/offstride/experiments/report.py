"""From scored runs to the three files of a comparison: page, Markdown and JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from offstride.compare import Entry, ImageCounts, Resampling, compare, count_images, measure_costs
from offstride.data import EvalTransform, SampleSet
from offstride.evaluate import label_map
from offstride.experiments.store import Store, kept
from offstride.files import write_text
from offstride.inference import InferenceProtocol
from offstride.visualize import (
    ComparisonPicture,
    colorize,
    compare_errors,
    comparison_markdown,
    write_comparison_page,
)
from offstride.visualize.page import versions

Curves = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Scoring:
    """How a comparison is scored and reported.

    Args:
        split: That is scored.
        protocol: How images are predicted.
        resampling: How intervals are made.
        thin: Classes with thin objects, if others than the data set's.
        rounds: Timed predictions of each model; 0 for none.
        output_stride: That models run at, if not that of their training.
    """

    split: str
    protocol: InferenceProtocol
    resampling: Resampling
    thin: Sequence[str] = ()
    rounds: int = 20
    output_stride: int | None = None

    def key(self) -> list[Any]:
        """What tells counts of this kind from others."""
        return [self.split, vars(self.protocol), self.output_stride]

    def counts(self, store: Store, path: Path, model: Path, dataset: SampleSet, title: str) -> ImageCounts:
        """Counts of a model file, kept in a file and made if that is not there."""

        def count(path: Path) -> None:
            store.announce(f"scoring {title}")
            loaded = store.load(model, self.output_stride)
            with store.progress("scoring") as progress:
                counts = count_images(loaded, dataset, protocol=self.protocol, workers=1, progress=progress)
            counts.save(path)

        return ImageCounts.load(kept(path, count))

    def facts(self) -> dict[str, str]:
        """How images are predicted, where that is not plain."""
        stride = {} if self.output_stride is None else {"Scored at": f"output stride {self.output_stride}"}
        return stride | ({} if self.protocol.plain else {"Predicted": str(self.protocol)})


@dataclass(frozen=True, eq=False)
class Contestant:
    """A method with the files of its runs.

    Args:
        name: Short name.
        models: Model file of every run.
        runs: Counts of every run.
        description: What it is.
        paper: Where it comes from.
        curves: Learning curves of every run.
    """

    name: str
    models: Sequence[Path]
    runs: Sequence[ImageCounts]
    description: str = ""
    paper: str = ""
    curves: Sequence[Curves] = field(default_factory=list)


def report(
    contestants: Sequence[Contestant],
    dataset: SampleSet,
    scoring: Scoring,
    store: Store,
    *,
    name: str,
    setting: Mapping[str, str] = MappingProxyType({}),
    seeds: Sequence[int] = (),
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """Write `report.json`, `report.md` and `report.html`.

    Args:
        contestants: The first is the baseline.
        dataset: The images that were scored.
        scoring: How.
        store: Its folder is that of the report.
        name: Of the data set.
        setting: Facts about the training, by name.
        seeds: Of the runs, where these are paired.
        missing: Runs that are not there.

    Returns:
        What `report.json` holds.
    """
    classes = replace(dataset.classes, thin=tuple(scoring.thin)) if scoring.thin else dataset.classes
    costs = _costs(contestants, dataset, scoring, store)
    entries = [
        Entry(each.name, each.runs, each.description, each.paper, _joined(each.curves), costs.get(each.name, {}))
        for each in contestants
    ]
    store.announce("resampling")
    compared = compare(entries, classes, scoring.resampling, paired=bool(seeds))
    runs = f"{len(seeds)} seed{'s' * (len(seeds) != 1)}" if seeds else f"{sum(len(e.runs) for e in entries)} models"
    content = {
        "title": f"{name}: {len(entries)} upsamplers, {runs}",
        "data": {
            "name": name,
            "split": scoring.split,
            "images": len(dataset),
            "classes": list(classes.names),
            "colors": [list(color) for color in classes.palette],
            "thin": list(classes.thin),
        },
        "setting": dict(setting) | scoring.facts(),
        "seeds": list(seeds),
        "missing": list(missing),
        **compared,
        "made": {"versions": versions(), "hardware": _hardware()},
    }
    write_text(store.folder / "report.json", json.dumps(content, indent=1) + "\n")
    write_text(store.folder / "report.md", comparison_markdown(content))
    store.announce("drawing")
    write_comparison_page(
        store.folder / "report.html", content, pictures(contestants, content, dataset, scoring, store)
    )
    return content


def _joined(curves: Sequence[Curves]) -> dict[str, list[list[tuple[float, float]]]]:
    return {name: [run[name] for run in curves] for name in (curves[0] if curves else ())}


def _costs(
    contestants: Sequence[Contestant], dataset: SampleSet, scoring: Scoring, store: Store
) -> dict[str, dict[str, Any]]:
    if not scoring.rounds:
        return {}
    store.announce("timing")
    height, width = dataset[0].label.shape
    devices = [torch.device("cpu"), *([store.device] if store.device.type != "cpu" else [])]
    files = {each.name: each.models[0] for each in contestants}
    with store.progress("timing") as progress:
        options = {"rounds": scoring.rounds, "output_stride": scoring.output_stride, "progress": progress}
        return measure_costs(files, (height, width), devices=devices, **options)


def _hardware() -> str:
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return ", ".join([*gpu, f"{_processor()}, {os.cpu_count()} cores"])


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


@torch.inference_mode()
def pictures(
    contestants: Sequence[Contestant], content: Mapping[str, Any], dataset: SampleSet, scoring: Scoring, store: Store
) -> list[ComparisonPicture]:
    """The images where methods win and lose most, as the first run of each labels them."""
    models = {each.name: store.load(each.models[0], scoring.output_stride) for each in contestants}
    wanted = {each["index"] for entry in content["entries"] for part in entry["extremes"].values() for each in part}
    samples = {index: dataset[index] for index in sorted(wanted)}
    baseline, result = content["baseline"], []

    def labels(name: str, index: int) -> np.ndarray:
        model = models[name]
        image, _ = EvalTransform(model.mean, model.std)(samples[index])
        return label_map(model, image[None].to(store.device), scoring.protocol)[0].cpu().numpy()

    before = {index: labels(baseline, index) for index in samples}
    palette = dataset.classes.palette
    for entry in content["entries"]:
        for kind, images in entry["extremes"].items():
            for each in images:
                sample, first = samples[each["index"]], before[each["index"]]
                own = labels(entry["name"], each["index"])
                image, truth = sample.image.permute(1, 2, 0).contiguous().numpy(), sample.label.numpy()
                shown = {
                    "Image": image,
                    "Truth": colorize(truth, palette),
                    baseline: colorize(first, palette),
                    entry["name"]: colorize(own, palette),
                    "Changes": compare_errors(image, first, own, truth),
                }
                result.append(ComparisonPicture(entry["name"], kind, each["name"], each["difference"], shown))
    return result
