"""`offstride evaluate`: a table of scores for every class, and all figures as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table
from torch import Tensor

from offstride.cli.console import add_data, columns, command_parser, open_data, progress_bar
from offstride.cli.model import add_model, model_of
from offstride.cli.protocol import add_protocol, protocol_of
from offstride.evaluate import Evaluation, evaluate
from offstride.files import write_text


def main(program: str, arguments: list[str]) -> int:
    """Evaluate a model."""
    values = _parser(program).parse_args(arguments)
    protocol = protocol_of(values)
    model = model_of(values, values.model, device=values.device)
    dataset = open_data(values, values.split, values.count)
    with progress_bar("evaluating") as progress:
        result = evaluate(model, dataset, protocol=protocol, workers=values.workers, progress=progress)
    source = f"{values.model} on {values.data} {values.split or ''}".rstrip()
    title = ", ".join(filter(None, [source, f"output stride {model.config.output_stride}", str(protocol)]))
    Console().print(score_table(result, title))
    if values.json:
        options = {"output_stride": model.config.output_stride, **asdict(protocol)}
        write_text(values.json, json.dumps({**result.to_dict(), "protocol": options}, indent=2) + "\n")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(program, "Score a trained model on a data set.")
    add_model(result)
    add_data(result, "test", "score on")
    result.add_argument("--json", type=Path, help="JSON file to write all scores to")
    result.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1 …")
    result.add_argument("--workers", type=int, default=1, help="processes that load data")
    add_protocol(result)
    return result


def score_table(result: Evaluation, title: str) -> Table:
    """IoU, boundary IoU and accuracy of every class in per cent, and their means."""
    head = columns("IoU", "boundary IoU", "accuracy", "share of pixels", justify="right")
    table = Table("class", *head, title=title, title_justify="left", caption_justify="left", caption=_caption(result))
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
    lines = [f"pixel accuracy {_percent(result.scores.pixel_accuracy)} · {result.images} images · {rate:.1f} images/s"]
    if result.classes.thin:
        lines.append(f"thin classes ({', '.join(result.classes.thin)}): IoU {_percent(result.thin_iou)}")
    if result.scores.absent:
        absent = ", ".join(result.classes.names[index] for index in result.scores.absent)
        lines.append(f"neither in labels nor predictions, left out of the means: {absent}")
    return "\n".join(lines)


def _percent(value: Tensor | float) -> str:
    return "–" if value != value else f"{100 * float(value):.1f}"
