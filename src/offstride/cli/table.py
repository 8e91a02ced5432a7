"""`offstride table`: run or resume all rows of a table of a paper, and print them beside the published figures."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from offstride.cli.console import announce, command_parser, pick_device, progress_bar
from offstride.cli.table_view import overview, plan, side_by_side
from offstride.experiments.figures import row_figures
from offstride.experiments.overview import as_data, readme, record
from offstride.experiments.runs import Runs
from offstride.experiments.setting import Setting
from offstride.experiments.store import Store
from offstride.experiments.tables import PaperTable, read_table, read_tables
from offstride.files import write_text
from offstride.train.reading import split_settings


def main(program: str, arguments: list[str]) -> int:
    """List tables, write their overview, or run one."""
    named, words = split_settings(arguments)
    changes = dict(named)
    values = _parser(program).parse_args(words)
    if values.readme:
        write_text(values.recipes / "README.md", readme(values.recipes))
        print(values.recipes / "README.md")
        return 0
    if values.limit_steps is not None:
        changes["schedule.steps"] = str(values.limit_steps)
    setting = Setting(changes, _roots(values.roots))
    store = Store(values.output / setting.folder, pick_device(values.device), announce, progress_bar)
    runs = Runs(values.recipes, setting, store)
    if values.list or values.table is None:
        Console().print(overview(read_tables(values.recipes), runs, values.seeds))
        return 0
    table = read_table(values.recipes, values.table)
    if values.dry_run:
        Console().print(plan(table, runs, values.seeds))
        return 0
    return _run(table, runs, values)


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Run or resume all rows of a table of a paper and print them beside the published figures. Settings on the "
        "command line apply to all rows; the table then says so, and these runs are stored separately.",
        f"{program} [TABLE] [options] [--SECTION.SETTING VALUE …] [--evaluate.SETTING VALUE …]",
    )
    result.add_argument("table", nargs="?", type=str, help="name such as lau/3a; --list shows all")
    result.add_argument("--list", action="store_true", help="show all tables and how many rows have been run")
    result.add_argument("--readme", action="store_true", help="write README.md in the folder of recipes")
    result.add_argument("--dry-run", action="store_true", help="show what would be run")
    result.add_argument("--no-run", action="store_true", help="show existing results; run nothing")
    result.add_argument("--recipes", type=Path, default=Path("recipes"), help="folder of recipes")
    result.add_argument("--output", type=Path, default=Path("runs/tables"), help="folder of runs")
    result.add_argument("--roots", type=str, nargs="+", default=[], metavar="NAME=FOLDER", help="folders of data sets")
    result.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of each training")
    result.add_argument("--limit-steps", type=int | None, help="number of steps of every training")
    result.add_argument("--device", type=str, default="auto", help="device of scoring: cpu, cuda, cuda:1 …")
    result.add_argument("--json", type=Path | None, help="results file to add the table to")
    return result


def _roots(words: list[str]) -> dict[str, Path]:
    roots = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not (name and equals and folder):
            raise ValueError(f"roots: expected NAME=FOLDER, got {word!r}")
        roots[name] = Path(folder)
    return roots


def _run(table: PaperTable, runs: Runs, values: Namespace) -> int:
    """Run a table. Rows that fail are reported at the end, after all others."""
    ours, failed = [], []
    for row in table.rows:
        figures = {}
        if row.file is not None:
            try:
                figures = row_figures(runs, row, values.seeds, run=not values.no_run)
            except (ValueError, OSError) as error:
                failed.append(f"{row.text}: {error}")
        ours.append(figures)
    Console().print(side_by_side(table, ours, runs.setting, len(values.seeds)))
    if values.json:
        record(values.json, as_data(table, ours, runs.setting, values.seeds))
    if failed:
        raise ValueError("; ".join(failed))
    return 0
