"""The overview of all recipes, `recipes/README.md`, and their results, `recipes/results.json`."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from offstride.experiments.figures import Summary
from offstride.experiments.setting import Setting, described
from offstride.experiments.tables import FIGURES, PaperTable, TableRow, read_tables
from offstride.files import write_text

RESULTS = "results.json"


def readme(recipes: Path) -> str:
    """The page: its present introduction, and for every table the rows with file, published figures and ours."""
    page, results = recipes / "README.md", read_results(recipes / RESULTS)
    parts = [page.read_text().partition("\n## ")[0]] if page.exists() else ["# Recipes\n"]
    for paper, tables in groupby(read_tables(recipes), key=lambda table: table.paper):
        parts.append(f"## {paper}\n")
        parts += [_section(table, [result for result in results if result["table"] == table.name]) for table in tables]
    return "\n".join(parts)


def read_results(path: Path) -> list[dict[str, Any]]:
    """Results that `record` wrote; none if there is no file."""
    return json.loads(path.read_text()) if path.exists() else []


def record(path: Path, result: dict[str, Any]) -> None:
    """Add a table to a file of results; it replaces one in the same setting."""
    kept = [earlier for earlier in read_results(path) if _key(earlier) != _key(result)]
    write_text(path, json.dumps(sorted([*kept, result], key=_key), indent=1, ensure_ascii=False) + "\n")


def as_data(
    table: PaperTable, ours: Sequence[Mapping[str, Summary]], setting: Setting, seeds: Sequence[int]
) -> dict[str, Any]:
    """A table for JSON: rows by the name of their recipe file."""
    rows: dict[str, Any] = {}
    for row, figures in zip(table.rows, ours, strict=True):
        if row.file is not None and figures:
            rows[row.file.path.name] = {
                name: {"mean": figure.mean, "sd": figure.deviation, "values": list(figure.values)}
                for name, figure in figures.items()
            }
    return {"table": table.name, "setting": dict(setting.differs), "seeds": list(seeds), "rows": rows}


def _key(result: Mapping[str, Any]) -> tuple[str, str]:
    return result["table"], json.dumps(result["setting"], sort_keys=True)


def _section(table: PaperTable, results: list[dict[str, Any]]) -> str:
    paper, number = table.name.split("/")
    lines = [f"### Table {number}: {table.title}\n", "| row | file | published | ours |", "|---|---|---|---|"]
    own = next((result for result in results if not result["setting"]), {"rows": {}})
    remarks = table.remarks
    for row in table.rows:
        mark = f" <sup>{remarks.index(row.remark) + 1}</sup>" if row.remark else ""
        published = ", ".join(_figure(name, value) for name, value in row.published.items())
        cells = (row.text + mark, _link(row, paper, number), published, _ours(row, own["rows"]))
        lines.append("| " + " | ".join(cells) + " |")
    if remarks:
        lines += ["", _wrapped("; ".join(f"<sup>{i}</sup> {remark}" for i, remark in enumerate(remarks, 1)) + ".")]
    return "\n".join([*lines, *_elsewhere(table, results)]) + "\n"


def _link(row: TableRow, paper: str, number: str) -> str:
    if row.file is None:
        return "–"
    name = row.file.path.name
    server = " *server*" if row.measure == "server" else ""
    return f"[{name.removesuffix('.yaml')}]({paper}/{number}/{name}){server}"


def _figure(name: str, value: Any) -> str:
    figure = FIGURES[name]
    if isinstance(value, list):
        return f"{figure.title} " + " ".join(f"{number:.{figure.digits}f}" for number in value)
    return f"{figure.title} {value:.{figure.digits}f} {figure.unit}".removesuffix(" %").rstrip()


def _ours(row: TableRow, rows: Mapping[str, Any]) -> str:
    figures = {} if row.file is None else rows.get(row.file.path.name, {})
    cells = []
    for name, figure in figures.items():
        spread = "" if figure["sd"] is None else f" ± {figure['sd']:.{FIGURES[name].digits}f}"
        cells.append(_figure(name, figure["mean"]) + spread)
    return ", ".join(cells)


def _elsewhere(table: PaperTable, results: list[dict[str, Any]]) -> Iterator[str]:
    """Results in other settings than the paper's."""
    for result in results:
        if not result["setting"]:
            continue
        seeds = ", ".join(map(str, result["seeds"]))
        yield "\n" + _wrapped(f"In another setting ({described(result['setting'])}; seeds {seeds}):") + "\n"
        yield "| row | ours |\n|---|---|"
        for row in table.rows:
            if ours := _ours(row, result["rows"]):
                yield f"| {row.text} | {ours} |"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
