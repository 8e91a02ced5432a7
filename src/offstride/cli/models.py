"""`offstride models`: the published models by name, with their costs and sources."""

import json
from fnmatch import fnmatch
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from offstride.cli.console import columns, command_parser, simple_table
from offstride.models.costs import read_costs
from offstride.models.presets import PRESETS


def main(program: str, arguments: list[str]) -> int:
    """List models."""
    values = _parser(program).parse_args(arguments)
    presets = {name: preset for name, preset in PRESETS.items() if fnmatch(name, values.pattern)}
    if not presets:
        raise ValueError(f"pattern: expected one that fits a model, got {values.pattern!r}; try offstride models '*'")
    costs = read_costs()
    rows = []
    for name, preset in presets.items():
        facts = {key: getattr(preset, key) for key in ("classes", "paper", "table", "row")}
        rows.append({"name": name, **costs[name], "size": list(preset.size), **facts})
    if values.json:
        print(json.dumps(rows, indent=2))
        return 0
    console = Console()
    for paper in dict.fromkeys(row["paper"] for row in rows):
        console.print(_table(rows, paper))
    console.print("parameters and multiply-adds of one image, without auxiliary heads", highlight=False)
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(program, "List the published models; offstride.create_model(NAME) builds one.")
    result.add_argument("pattern", nargs="?", type=str, default="*", help="names to list, such as 'encnet*'")
    result.add_argument("--json", action="store_true", help="print JSON")
    return result


def _table(rows: list[dict[str, Any]], paper: str) -> Table:
    costs = columns("parameters", "GMAC", "image", justify="right", no_wrap=True)
    table = simple_table(paper, *columns("model", no_wrap=True), *costs, "table", title_style="bold")
    for row in rows:
        if row["paper"] == paper:
            numbers = f"{row['parameters'] / 1e6:.2f} M", f"{row['macs'] / 1e9:.1f}", "×".join(map(str, row["size"]))
            table.add_row(row["name"], *numbers, row["table"])
    return table
