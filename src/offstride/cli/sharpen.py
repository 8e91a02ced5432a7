"""`offstride sharpen`: sharper masks from a trained model, what that gains, and what it costs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from offstride.cli.console import (
    add_data,
    announce,
    columns,
    command_parser,
    open_data,
    pick_device,
    progress_bar,
    simple_table,
)
from offstride.cli.model import add_model, network_of_model
from offstride.compare import Resampling
from offstride.data import find_images
from offstride.experiments.sharpening.sharpening import FILE, PAGE, Labelled, Sharpening
from offstride.experiments.sharpening.training import UpsamplerTraining
from offstride.inference import InferenceProtocol
from offstride.visualize.comparison import numbers
from offstride.visualize.sharpening import text


def main(program: str, arguments: list[str]) -> int:
    """Sharpen a model, save it, score it and report."""
    values = _parser(program).parse_args(arguments)
    content = _read(values).run()
    if content:
        show_report(content)
        print(values.output / PAGE)
    print(values.output / FILE)
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Put the universal upsampler on a trained model, without training, and save it. With labelled images it "
        "reports what that gains and costs; with --train it learns from their labels; with photographs it shows before "
        "and after.",
        f"{program} MODEL --output DIR [--root DATA --split val [--train]] [--images PHOTOS …] [options]",
    )
    add_model(result)
    result.add_argument("--output", type=Path, required=True, help=f"folder of {FILE} and {PAGE}")
    add_data(result, "val", "score on")
    result.add_argument("--images", type=str, nargs="+", default=[], help="photographs, folders or quoted patterns")
    result.add_argument("--sliding", type=int, nargs=2, metavar=("H", "W"), help="predict photographs in windows")
    result.add_argument("--weights", type=Path, help="file of fit-universal, in place of the shipped weights")
    result.add_argument(
        "--upsampler-options", type=dict[str, Any], default={}, help="of the universal upsampler, as YAML or JSON"
    )
    result.add_argument("--against", type=str, nargs="+", default=[], help="further rows: joint_bilateral, scales …")
    result.add_argument("--train", action="store_true", help="let the upsampler learn from labels")
    result.add_argument("--train-split", type=str, default="train", help="split to learn from")
    result.add_argument("--choose-split", type=str, default="val", help="split that decides what is kept")
    for name in ("steps", "crops", "crop", "batch_size", "learning_rate", "seed"):
        default = getattr(UpsamplerTraining, name)
        option = name.replace("_", "-")
        result.add_argument(f"--{option}", type=type(default), default=default, help=_HELP[name])
    result.add_argument("--level", type=float, default=0.95, help="confidence level of the intervals")
    result.add_argument("--resamples", type=int, default=2000, help="number of bootstrap resamples")
    result.add_argument("--block", type=int, default=1, help="consecutive images in a bootstrap block, for videos")
    result.add_argument("--rounds", type=int, default=20, help="timed predictions of each row; 0 skips timing")
    result.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1 …")
    result.add_argument("--workers", type=int, default=1, help="processes that load data")
    return result


_HELP = {
    "steps": "with --train: steps",
    "crops": "with --train: random crops, whose coarse scores are computed once",
    "crop": "with --train: side of a crop, in pixels",
    "batch_size": "with --train: crops of a step",
    "learning_rate": "with --train: at first",
    "seed": "with --train: of crops and their order",
}


def _read(values: Namespace) -> Sharpening:
    _check(values)
    labelled = _is_labelled(values)
    window = None if values.sliding is None else (values.sliding[0], values.sliding[1])
    common = {
        "photographs": find_images(values.images) if values.images else {},
        "protocol": InferenceProtocol(window=window),
        "against": [name for word in values.against for name in word.split(",")],
        "resampling": Resampling(values.level, values.resamples, values.block),
        "rounds": values.rounds,
        "workers": values.workers,
        "weights": values.weights,
        "options": values.upsampler_options,
        "device": pick_device(values.device),
        "announce": announce,
        "progress": progress_bar,
    }
    if labelled:
        common |= {"name": values.data, "scored": _open(values, values.split)}
    if values.train:
        chosen = values.choose_split
        common |= {
            "training": UpsamplerTraining(
                values.steps, values.crops, values.crop, values.batch_size, values.learning_rate, seed=values.seed
            ),
            "train": _open(values, values.train_split),
            "choice": common["scored"] if chosen == values.split else _open(values, chosen),
        }
    model = network_of_model(values, values.model, "to sharpen", device=values.device)
    return Sharpening(model, values.model, values.output, **common)


def _open(values: Namespace, split: str | None) -> Labelled:
    return Labelled(open_data(values, split, values.count), split or "all")


def _is_labelled(values: Namespace) -> bool:
    return values.root is not None or values.data == "streets"


def _check(values: Namespace) -> None:
    """Raise a `ValueError` for options that do not go together."""
    labelled = _is_labelled(values)
    for name in ("train", "against"):
        if values[name] and not labelled:
            raise ValueError(f"{name}: expected labelled images to score on (--root DATA --split val), got none")
    if values.data != "folder" and not labelled:
        raise ValueError(f"root: expected the folder that holds {values.data!r}, got None")
    if values.rounds < 0:
        raise ValueError(f"rounds: expected 0 or more, got {values.rounds}")
    if values.sliding and not values.images:
        raise ValueError("sliding: expected photographs to predict in windows (--images), got none")


def show_report(content: Mapping[str, Any]) -> None:
    """The tables of the terminal, and what has to be said."""
    console = Console()
    if content["entries"]:
        console.print(_scores(content))
        console.print(_classes(content))
    console.print(text.summary(content), highlight=False)
    if sentence := text.changes(content):
        console.print(f"{sentence} {text.winners(content)}", highlight=False)
    for remark in content["remarks"]:
        console.print(remark, highlight=False)
    for warning in content["warnings"]:
        console.print(f"[bold red]{warning}[/]", highlight=False)


def _scores(content: Mapping[str, Any]) -> Table:
    """Scores in per cent with differences in points, costs."""
    measures, data = ("miou", "boundary_iou"), content["data"]
    heads = [*map(numbers.metric_name, measures), f"near {content['widths'][0]} px", "time", "MACs"]
    title = f"{content['title']} on {data['name']} {data['split']}, %"
    table = simple_table(title, *columns("", no_wrap=True), *columns(*heads, justify="right", no_wrap=True))
    for entry in content["entries"]:
        cells = [_score(entry["scores"][key]) for key in measures]
        cells += [text.percent((numbers.trimap(entry, content["widths"][0]) or {}).get("mean")), _time(entry)]
        style = "bold" if entry["name"] == content["sharpened"]["after"] else None
        table.add_row(entry["name"], *cells, numbers.count(entry["costs"].get("macs")), style=style)
    table.caption = f"bold: saved; ▲ ▼ the {100 * content['level']:g} % interval over images leaves out 0"
    table.caption_justify = "left"
    return table


def _classes(content: Mapping[str, Any]) -> Table:
    """IoU of every class before and after."""
    before, after = (text.entry(content, role) for role in ("before", "after"))
    table = simple_table("IoU of the classes", *columns("class"), *columns("before", "after", justify="right"))
    table.add_column("difference", justify="right", no_wrap=True)
    for name in content["data"]["classes"]:
        pair = [numbers.class_score(entry, name) for entry in (before, after)]
        table.add_row(name, *(text.percent(score.get("mean")) for score in pair), _difference(pair[1]))
    return table


def _score(score: Mapping[str, Any]) -> str:
    return f"{text.percent(score['mean'])} {numbers.signed(score):>7}"


def _difference(score: Mapping[str, Any]) -> str:
    difference = numbers.change(score)
    if difference is None:
        return ""
    return f"{text.percent(difference['mean'], sign=True)} ({text.ends(difference['images'])})"


def _time(entry: Mapping[str, Any]) -> str:
    devices = entry["costs"].get("devices") or {}
    return next((f"{1000 * cost['latency']:.0f} ms" for cost in devices.values()), "–")
