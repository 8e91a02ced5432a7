"""`offstride evaluate`: a table of scores for every class, and all figures as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table
from torch import Tensor

from offstride.cli.console import pick_device, progress_bar
from offstride.cli.protocol import add_protocol, protocol_of
from offstride.data import build_dataset
from offstride.evaluate import Evaluation, evaluate
from offstride.files import write_text
from offstride.inference import InferenceProtocol
from offstride.models import Segmenter


def main(program: str, arguments: list[str]) -> int:
    """Evaluate a checkpoint."""
    values = _parser(program).parse_args(arguments)
    protocol = protocol_of(values)
    model = Segmenter.load(values.checkpoint, output_stride=values.output_stride).to(pick_device(values.device))
    source = {"count": values.count, "size": values.size} if values.data == "streets" else {"root": values.root}
    dataset = build_dataset(values.data, values.split, **source)
    with progress_bar("evaluating") as progress:
        result = evaluate(model, dataset, protocol=protocol, workers=values.workers, progress=progress)
    title = f"{values.checkpoint} on {values.data} {values.split or ''}".rstrip()
    Console().print(score_table(result, f"{title}, {how(model, protocol)}"))
    if values.json:
        asked = {"output_stride": model.config.output_stride, **asdict(protocol)}
        write_text(values.json, json.dumps({**result.to_dict(), "protocol": asked}, indent=2) + "\n")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(prog=program, description="Score a trained model on a data set.", exit_on_error=False)
    result.add_argument("checkpoint", type=Path, help="model file (.safetensors)")
    result.add_argument("--data", default="folder", help="name of the data set: folder, camvid, streets …")
    result.add_argument("--root", type=Path, default=None, help="folder of the data set")
    result.add_argument("--split", type=str | None, default="test", help="split to score on; null if there are none")
    result.add_argument("--count", type=int | None, default=None, help="number of procedural scenes")
    result.add_argument(
        "--size", type=tuple[int, int] | None, default=None, help="[height, width] of procedural scenes"
    )
    result.add_argument("--json", type=Path, default=None, help="file for all figures")
    result.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1 …")
    result.add_argument("--workers", type=int, default=1, help="processes that load data")
    add_protocol(result)
    return result


def how(model: Segmenter, protocol: InferenceProtocol) -> str:
    """In which way images were predicted, in a few words."""
    return ", ".join(filter(None, [f"output stride {model.config.output_stride}", str(protocol)]))


def score_table(result: Evaluation, title: str) -> Table:
    """IoU, boundary IoU and accuracy of every class in per cent, and their means."""
    table = Table(title=title, title_justify="left", caption_justify="left", caption=_caption(result))
    table.add_column("class")
    for heading in ("IoU", "boundary IoU", "accuracy", "share of pixels"):
        table.add_column(heading, justify="right")
    pixels = result.scores.support.sum()
    for index, name in enumerate(result.classes.names):
        cells = (result.scores.iou[index], result.boundary.iou[index], result.scores.accuracy[index])
        share = result.scores.support[index] / pixels
        table.add_row(name, *map(_percent, (*cells, share)))
    table.add_section()
    means = (result.scores.miou, result.boundary.mean, result.scores.mean_accuracy)
    table.add_row("mean", *map(_percent, means), "")
    return table


def _caption(result: Evaluation) -> str:
    rate = result.images / result.seconds
    lines = [
        f"pixel accuracy {_percent(result.scores.pixel_accuracy)} · {result.images} images · {rate:.1f} images/s",
    ]
    if result.classes.thin:
        lines.append(f"thin classes ({', '.join(result.classes.thin)}): IoU {_percent(result.thin_iou)}")
    if result.scores.absent:
        absent = ", ".join(result.classes.names[index] for index in result.scores.absent)
        lines.append(f"neither in labels nor predictions, left out of the means: {absent}")
    return "\n".join(lines)


def _percent(value: Tensor | float) -> str:
    return "–" if value != value else f"{100 * float(value):.1f}"
