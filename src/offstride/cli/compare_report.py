"""From scored runs to the three files of a comparison: page, Markdown and JSON."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table

from offstride.cli.console import pick_device, progress_bar, write_text
from offstride.compare import Entry, ImageCounts, Resampling, compare, measure_costs
from offstride.data import EvalTransform, SampleSet
from offstride.evaluate import label_map
from offstride.inference import InferenceProtocol
from offstride.models import Segmenter
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
class Asked:
    """How a comparison is scored and reported.

    Args:
        output: Folder of the report.
        split: That is scored.
        protocol: How images are predicted.
        resampling: How intervals are made.
        thin: Classes with thin objects, if others than the data set's.
        rounds: Timed predictions of each model; 0 for none.
        device: Where models are scored, and timed besides the CPU.
        output_stride: That models run at, if not that of their training.
    """

    output: Path
    split: str
    protocol: InferenceProtocol
    resampling: Resampling
    thin: Sequence[str] = ()
    rounds: int = 20
    device: str = "auto"
    output_stride: int | None = None

    def load(self, path: Path) -> Segmenter:
        """A model, where and as it is scored."""
        return Segmenter.load(path, output_stride=self.output_stride).to(pick_device(self.device))

    def key(self) -> list[Any]:
        """What tells counts of this kind from others."""
        return [self.split, vars(self.protocol), self.output_stride]


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
    asked: Asked,
    *,
    name: str,
    setting: Mapping[str, str] = MappingProxyType({}),
    seeds: Sequence[int] = (),
    missing: Sequence[str] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write `report.json`, `report.md` and `report.html`.

    Args:
        contestants: The first is the baseline.
        dataset: The images that were scored.
        asked: How.
        name: Of the data set.
        setting: Facts about the training, by name.
        seeds: Of the runs, where these are paired.
        missing: Runs that are not there.
        tell: Is told what is done next.

    Returns:
        What `report.json` holds.
    """
    classes = replace(dataset.classes, thin=tuple(asked.thin)) if asked.thin else dataset.classes
    costs = _costs(contestants, dataset, asked, tell)
    entries = [
        Entry(each.name, each.runs, each.description, each.paper, _joined(each.curves), costs.get(each.name, {}))
        for each in contestants
    ]
    tell("resampling")
    found = compare(entries, classes, asked.resampling, paired=bool(seeds))
    runs = f"{len(seeds)} seed{'s' * (len(seeds) != 1)}" if seeds else f"{sum(len(e.runs) for e in entries)} models"
    found = {
        "title": f"{name}: {len(entries)} upsamplers, {runs}",
        "data": {
            "name": name,
            "split": asked.split,
            "images": len(dataset),
            "classes": list(classes.names),
            "colors": [list(color) for color in classes.palette],
            "thin": list(classes.thin),
        },
        "setting": dict(setting) | _asked_facts(asked),
        "seeds": list(seeds),
        "missing": list(missing),
        **found,
        "made": {"versions": versions(), "hardware": _hardware()},
    }
    write_text(asked.output / "report.json", json.dumps(found, indent=1) + "\n")
    write_text(asked.output / "report.md", comparison_markdown(found))
    tell("drawing")
    write_comparison_page(asked.output / "report.html", found, pictures(contestants, found, dataset, asked))
    return found


def _joined(curves: Sequence[Curves]) -> dict[str, list[list[tuple[float, float]]]]:
    return {name: [run[name] for run in curves] for name in (curves[0] if curves else ())}


def _costs(
    contestants: Sequence[Contestant], dataset: SampleSet, asked: Asked, tell: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    if not asked.rounds:
        return {}
    tell("timing")
    height, width = dataset[0].label.shape
    other = pick_device(asked.device)
    devices = [torch.device("cpu"), *([other] if other.type != "cpu" else [])]
    files = {each.name: each.models[0] for each in contestants}
    with progress_bar("timing") as progress:
        options = {"rounds": asked.rounds, "output_stride": asked.output_stride, "progress": progress}
        return measure_costs(files, (height, width), devices=devices, **options)


def _asked_facts(asked: Asked) -> dict[str, str]:
    """How images were predicted, where that is not plain."""
    stride = {} if asked.output_stride is None else {"Scored at": f"output stride {asked.output_stride}"}
    return stride | ({} if asked.protocol.plain else {"Predicted": str(asked.protocol)})


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
    contestants: Sequence[Contestant], found: Mapping[str, Any], dataset: SampleSet, asked: Asked
) -> list[ComparisonPicture]:
    """The images where methods win and lose most, as the first run of each labels them."""
    device = pick_device(asked.device)
    models = {each.name: asked.load(each.models[0]) for each in contestants}
    wanted = {each["index"] for entry in found["entries"] for part in entry["extremes"].values() for each in part}
    samples = {index: dataset[index] for index in sorted(wanted)}
    baseline, result = found["baseline"], []

    def labels(name: str, index: int) -> np.ndarray:
        model = models[name]
        image, _ = EvalTransform(model.mean, model.std)(samples[index])
        return label_map(model, image[None].to(device), asked.protocol)[0].cpu().numpy()

    before = {index: labels(baseline, index) for index in samples}
    palette = dataset.classes.palette
    for entry in found["entries"]:
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


def summary_table(found: Mapping[str, Any]) -> Table:
    """Scores in per cent and paired differences, for the terminal."""
    table = Table(title=found["title"], title_justify="left", box=SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    table.add_column("upsampler", no_wrap=True)
    for metric in found["metrics"]:
        table.add_column(metric.replace("_", " ").replace("miou", "mIoU").replace("iou", "IoU"), justify="right")
        table.add_column("difference", justify="right", no_wrap=True)
    for entry in found["entries"]:
        cells = []
        for metric in found["metrics"]:
            figure = entry["scores"][metric]
            cells += [_percent(figure), _difference(figure["difference"])]
        table.add_row(entry["name"], *cells)
    sure = f"neither the {found['level']:.0%} interval over images nor that over seeds holds 0"
    lines = [f"differences to {found['baseline']}; * {sure}"]
    lines += [f"missing: {', '.join(found['missing'])}"] if found["missing"] else []
    table.caption = "\n".join(lines)
    return table


def _percent(figure: Mapping[str, Any]) -> str:
    if figure["mean"] is None:
        return "–"
    spread = f" ± {100 * figure['sd']:.1f}" if figure["sd"] is not None else ""
    return f"{100 * figure['mean']:.1f}{spread}"


def _difference(difference: Mapping[str, Any] | None) -> str:
    if difference is None or difference["mean"] is None:
        return ""
    return f"{100 * difference['mean']:+.1f}{'*' if difference['clear'] else ' '}".replace("-", "−")
