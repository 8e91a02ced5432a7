"""`offstride complexity`: what a model costs, and what the papers print about theirs."""

import json
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from offstride.cli.console import columns, command_parser, pick_device, progress_bar, simple_table
from offstride.cli.model import KINDS, add_missing, model_of
from offstride.data.catalog import CAMVID, STREETS
from offstride.models import BaseSegmenter, create_model
from offstride.models.complexity import complexity
from offstride.models.presets import PRESETS
from offstride.models.published import PAPER_ROWS, PaperRow, paper_rows
from offstride.models.timing import timed
from offstride.opening import is_reference, network_of
from offstride.train.fit import foreign_model
from offstride.train.reading import read_recipe

_CLASSES = {"camvid": len(CAMVID), "streets": len(STREETS)}


def main(program: str, arguments: list[str]) -> int:
    """Count and time a model, or print the papers' figures beside ours."""
    values = _parser(program).parse_args(arguments)
    if values.paper:
        return _print_paper(values)
    if values.model is None:
        raise ValueError(f"model: expected the name of a model (offstride models lists them), a recipe, {KINDS}")
    model, own_size = _model(values)
    size = tuple(values.size) if values.size else own_size
    costs = complexity(network_of(model), size)
    figures = {"model": values.model, "size": list(costs.size)}
    figures |= {key: getattr(costs, key) for key in ("parameters", "macs", "flops", "activation_bytes")}
    if values.seconds > 0:
        figures |= timed(model, size, values.seconds)
    print(json.dumps(figures, indent=2)) if values.json else Console().print(_card(figures))
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(program, "Parameters, multiply-adds, memory of activations and speed of a model.")
    result.add_argument("model", nargs="?", type=str, help=f"name, recipe (.yaml), {KINDS}")
    add_missing(result, "number of classes of a name or recipe (default: that of the paper), or names as elsewhere")
    result.add_argument("--size", type=list[int] | None, help="[height, width] of the image")
    result.add_argument("--seconds", type=float, default=10, help="time spent on timing label maps; 0 skips timing")
    result.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1 …")
    result.add_argument("--paper", action="store_true", help="print published figures beside ours, for all papers")
    result.add_argument("--measure", action="store_true", help="with --paper: time models with a published speed")
    result.add_argument("--json", action="store_true", help="print JSON")
    return result


def _model(values: Namespace) -> tuple[Any, tuple[int, int]]:
    """A model on its device, and the (height, width) of the image that its costs are given for."""
    source = values.model
    if source not in PRESETS and Path(source).suffix not in (".yaml", ".yml"):
        if not is_reference(source):
            raise ValueError(f"model: expected a name that `offstride models` lists, a recipe, {KINDS}, got {source!r}")
        return model_of(values, source, device=values.device), (512, 512)
    if values.classes is not None and not values.classes.isdigit():
        raise ValueError(f"classes: expected a number for a name or a recipe, got {values.classes!r}")
    classes = int(values.classes) if values.classes else None
    model, size = _planned(source, classes)
    return model.to(pick_device(values.device)).eval(), size


def _planned(source: str, classes: int | None) -> tuple[BaseSegmenter, tuple[int, int]]:
    """A model of a name or a recipe, which is not trained."""
    if source in PRESETS:
        return create_model(source, classes=classes), PRESETS[source].size
    recipe = read_recipe(Path(source))
    if recipe.model.reference is not None:
        return foreign_model(recipe.model), recipe.data.crop
    count = classes or _CLASSES.get(recipe.data.name)
    if count is None:
        raise ValueError(f"classes: expected a number; the recipe's data set {recipe.data.name!r} does not fix it")
    return create_model(classes=count, **recipe.model.settings()), recipe.data.crop


def _card(figures: dict[str, Any]) -> Table:
    table = Table(show_header=False, title=figures["model"], title_justify="left")
    rows = {
        "image": "×".join(map(str, figures["size"])),
        "parameters": f"{figures['parameters']:,}",
        "multiply-adds": f"{figures['macs'] / 1e9:.3f} G",
        "operations": f"{figures['flops'] / 1e9:.3f} G",
        "activations kept for training": f"{figures['activation_bytes'] / 2**20:,.0f} MiB per image, float32",
    }
    if "timed" in figures:
        where = f"{figures['device']}, {figures['threads']} threads, median of {figures['timed']}"
        rows["images to label maps"] = f"{figures['frames_per_second']:.2f} per second ({where})"
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _print_paper(values: Namespace) -> int:
    device = pick_device(values.device)

    def speed(name: str) -> float:
        model = create_model(name).to(device).eval()
        return timed(model, PRESETS[name].size, values.seconds)["frames_per_second"]

    with progress_bar("counting") as progress:
        rows = paper_rows(lambda done: progress(done, PAPER_ROWS), speed if values.measure else None)
    if values.json:
        print(json.dumps([row.to_dict() for row in rows], indent=2))
        return 0
    console, notes = Console(), list(dict.fromkeys(row.note for row in rows if row.note))
    for paper, table in dict.fromkeys((row.paper, row.table) for row in rows):
        chosen = [row for row in rows if (row.paper, row.table) == (paper, table)]
        console.print(_paper_table(f"{paper}, Table {table}", chosen, notes))
    for number, note in enumerate(notes, 1):
        console.print(f"{number}  {note}", highlight=False)
    return 0


def _paper_table(title: str, rows: list[PaperRow], notes: list[str]) -> Table:
    numbers = columns("published", "ours", "note", justify="right", no_wrap=True)
    table = simple_table(title, "row", "quantity", *numbers, title_style="bold")
    for row in rows:
        note = str(notes.index(row.note) + 1) if row.note else ""
        table.add_row(row.row, row.quantity.replace("_", " "), _short(row.published), _short(row.ours), note)
    return table


def _short(value: float | None) -> str:
    """With as many digits as the papers print."""
    if value is None:
        return "–"
    if value < 1e4:
        return f"{value:.2f}"
    return f"{value / 1e6:.2f} M" if value < 1e8 else f"{value / 1e9:.2f} G"
