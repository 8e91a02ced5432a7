"""`offstride models`: the published models by name, with what they cost and where they come from."""

import json
from fnmatch import fnmatch
from typing import Any

from jsonargparse import ArgumentParser
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from offstride.models.costs import read_costs
from offstride.models.presets import PRESETS


def main(program: str, arguments: list[str]) -> int:
    """List models."""
    values = _parser(program).parse_args(arguments)
    names = [name for name in PRESETS if fnmatch(name, values.pattern)]
    if not names:
        raise ValueError(f"pattern: expected one that fits a model, got {values.pattern!r}; try offstride models '*'")
    costs = read_costs()
    rows = [_row(name, costs[name]) for name in names]
    if values.json:
        print(json.dumps(rows, indent=2))
        return 0
    console = Console()
    for paper in dict.fromkeys(row["paper"] for row in rows):
        console.print(_table(rows, paper))
    console.print("parameters and multiply-adds of one image, without auxiliary heads", highlight=False)
    return 0


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        description="List the models of the papers: offstride.create_model(NAME) builds one.",
        exit_on_error=False,
    )
    result.add_argument("pattern", nargs="?", type=str, default="*", help="names to list, such as 'encnet*'")
    result.add_argument("--json", action="store_true", help="print JSON")
    return result


def _row(name: str, costs: dict[str, int]) -> dict[str, Any]:
    preset = PRESETS[name]
    facts = {key: getattr(preset, key) for key in ("classes", "paper", "table", "row")}
    return {"name": name, **costs, "size": list(preset.size), **facts}


def _table(rows: list[dict[str, Any]], paper: str) -> Table:
    table = Table(title=paper, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for heading in ("parameters", "GMAC", "image"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("table")
    for row in rows:
        if row["paper"] == paper:
            numbers = f"{row['parameters'] / 1e6:.2f} M", f"{row['macs'] / 1e9:.1f}", "×".join(map(str, row["size"]))
            table.add_row(row["name"], *numbers, row["table"])
    return table
