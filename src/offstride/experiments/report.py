"""The report of a comparison from scored runs: page, Markdown and JSON."""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from offstride.compare import Entry, ImageCounts, Resampling, compare, count_images, measure_costs
from offstride.data import Sample, SampleSet, normalize
from offstride.evaluate import label_map
from offstride.experiments.store import Store, kept
from offstride.files import write_text
from offstride.inference import InferenceProtocol
from offstride.visualize import ComparisonPicture, colorize, compare_errors, comparison_markdown, write_comparison_page
from offstride.visualize.page import versions

Curves = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Scoring:
    """How a comparison is scored and reported.

    Args:
        split: Split that is scored.
        protocol: Inference options.
        resampling: How intervals are computed.
        thin: Classes with thin objects (default: those of the data set).
        rounds: Timed predictions of each model; 0 skips timing.
        output_stride: Output stride of the models (default: that of their training).
    """

    split: str
    protocol: InferenceProtocol
    resampling: Resampling
    thin: Sequence[str] = ()
    rounds: int = 20
    output_stride: int | None = None

    def key(self) -> list[Any]:
        """The options that counts depend on."""
        return [self.split, vars(self.protocol), self.output_stride]

    def counts(self, store: Store, path: Path, model: str | Path, dataset: SampleSet, title: str) -> ImageCounts:
        """Counts of a model, kept in the file `path` and computed if missing."""

        def count(path: Path) -> None:
            store.announce(f"scoring {title}")
            loaded = store.load(model, self.output_stride)
            with store.progress("scoring") as progress:
                counts = count_images(loaded, dataset, protocol=self.protocol, workers=1, progress=progress)
            counts.save(path)

        return ImageCounts.load(kept(path, count))

    def facts(self) -> dict[str, str]:
        """Inference options that are not the defaults."""
        stride = {} if self.output_stride is None else {"Scored at": f"output stride {self.output_stride}"}
        return stride | ({} if self.protocol.plain else {"Predicted": str(self.protocol)})


@dataclass(frozen=True, eq=False)
class Contestant:
    """A method with the files of its runs.

    Args:
        name: Short name.
        models: Model file of every run, or reference of a model (`open_model`).
        runs: Counts of every run.
        description: A line about it.
        paper: Its source.
        curves: Learning curves of every run.
    """

    name: str
    models: Sequence[str | Path]
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
        scoring: How they were scored.
        store: Folder of the report.
        name: Name of the data set.
        setting: Facts about the training, by name.
        seeds: Seeds of the runs, if these are paired.
        missing: Names of missing runs.

    Returns:
        The content of `report.json`.
    """
    classes = replace(dataset.classes, thin=tuple(scoring.thin)) if scoring.thin else dataset.classes
    costs = _costs(contestants, dataset, scoring, store)
    entries = [
        Entry(method.name, method.runs, method.description, method.paper, _joined(method), costs.get(method.name, {}))
        for method in contestants
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
        "made": {"versions": versions(), "hardware": hardware()},
    }
    write_text(store.folder / "report.json", json.dumps(content, indent=1) + "\n")
    write_text(store.folder / "report.md", comparison_markdown(content))
    store.announce("drawing")
    pictures = list(_pictures(contestants, content, dataset, scoring, store))
    write_comparison_page(store.folder / "report.html", content, pictures)
    return content


def _joined(method: Contestant) -> dict[str, list[list[tuple[float, float]]]]:
    """The curves of all runs by name."""
    return {name: [run[name] for run in method.curves] for name in (method.curves[0] if method.curves else ())}


def _costs(
    contestants: Sequence[Contestant], dataset: SampleSet, scoring: Scoring, store: Store
) -> dict[str, dict[str, Any]]:
    if not scoring.rounds:
        return {}
    store.announce("timing")
    height, width = dataset[0].label.shape
    devices = [torch.device("cpu"), *([store.device] if store.device.type != "cpu" else [])]
    files = {method.name: method.models[0] for method in contestants}
    with store.progress("timing") as progress:
        options = {"rounds": scoring.rounds, "output_stride": scoring.output_stride, "progress": progress}
        options["missing"] = store.missing
        return measure_costs(files, (height, width), devices=devices, **options)


def hardware() -> str:
    """Names of GPU and processor, and the number of cores."""
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return ", ".join([*gpu, names[0] if names else platform.processor(), f"{os.cpu_count()} cores"])


@torch.inference_mode()
def _pictures(
    contestants: Sequence[Contestant], content: Mapping[str, Any], dataset: SampleSet, scoring: Scoring, store: Store
) -> Iterator[ComparisonPicture]:
    """The images where methods win and lose most, labelled by the first run of each."""
    models = {method.name: store.load(method.models[0], scoring.output_stride) for method in contestants}
    baseline, palette = content["baseline"], dataset.classes.palette

    @cache
    def sample(index: int) -> Sample:
        return dataset[index]

    @cache
    def labels(name: str, index: int) -> np.ndarray:
        image = normalize(sample(index).image, models[name].mean, models[name].std)
        return label_map(models[name], image[None].to(models[name].device), scoring.protocol)[0].cpu().numpy()

    parts = ((entry["name"], *part) for entry in content["entries"] for part in entry["extremes"].items())
    for name, kind, images in parts:
        for picture in images:
            index = picture["index"]
            image, truth = sample(index).image.permute(1, 2, 0).contiguous().numpy(), sample(index).label.numpy()
            before, after = labels(baseline, index), labels(name, index)
            shown = {
                "Image": image,
                "Truth": colorize(truth, palette),
                baseline: colorize(before, palette),
                name: colorize(after, palette),
                "Changes": compare_errors(image, before, after, truth),
            }
            yield ComparisonPicture(name, kind, picture["name"], picture["difference"], shown)
