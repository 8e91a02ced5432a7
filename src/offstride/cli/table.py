"""`offstride table`: run or resume all rows of a table of a paper, and print them beside the paper's figures."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from offstride.cli.console import write_text
from offstride.cli.table_figures import row_figures
from offstride.cli.table_readme import readme, record
from offstride.cli.table_rows import PaperTable, Row, read_table, read_tables
from offstride.cli.table_runs import Runs
from offstride.cli.table_setting import Setting, read_settings
from offstride.cli.table_view import as_data, described, side_by_side


def main(program: str, arguments: list[str]) -> int:
    """List tables, write their overview, or run one."""
    changes, words = read_settings(arguments)
    values = _parser(program).parse_args(words)
    if values.readme:
        write_text(values.recipes / "README.md", readme(values.recipes))
        print(values.recipes / "README.md")
        return 0
    if values.limit_steps is not None:
        changes["schedule.steps"] = str(values.limit_steps)
    runs = Runs(values.recipes, values.output, Setting(changes, _roots(values.roots)), values.device, _tell)
    if values.list or values.table is None:
        Console().print(_overview(read_tables(values.recipes), runs, values.seeds))
        return 0
    table = read_table(values.recipes, values.table)
    if values.dry_run:
        Console().print(_plan(table, runs, values.seeds))
        return 0
    return _run(table, runs, values)


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        usage=f"{program} [TABLE] [options] [--SECTION.SETTING VALUE …] [--evaluate.SETTING VALUE …]",
        description="Run or resume all rows of a table of a paper and print them beside its figures. Settings on the "
        "command line change all rows; the table then says so, and its runs are kept apart.",
        exit_on_error=False,
    )
    result.add_argument("table", nargs="?", type=str, help="name such as lau/3a; --list shows all")
    result.add_argument("--list", action="store_true", help="show all tables and how many rows have been run")
    result.add_argument("--readme", action="store_true", help="write README.md in the folder of recipes")
    result.add_argument("--dry-run", action="store_true", help="show what would be run")
    result.add_argument("--no-run", action="store_true", help="show what is there, run nothing")
    result.add_argument("--recipes", type=Path, default=Path("recipes"), help="folder of recipes")
    result.add_argument("--output", type=Path, default=Path("runs/tables"), help="folder of runs")
    result.add_argument("--roots", type=str, nargs="+", default=[], metavar="NAME=FOLDER", help="where data sets lie")
    result.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of each training")
    result.add_argument("--limit-steps", type=int | None, default=None, help="stop every training after so many steps")
    result.add_argument("--device", type=str, default="auto", help="where models are scored: cpu, cuda, cuda:1 …")
    result.add_argument("--json", type=Path | None, default=None, help="file of results that the table is added to")
    return result


def _roots(words: list[str]) -> dict[str, Path]:
    found = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not (name and equals and folder):
            raise ValueError(f"roots: expected NAME=FOLDER, got {word!r}")
        found[name] = Path(folder)
    return found


def _run(table: PaperTable, runs: Runs, values: Namespace) -> int:
    """Rows that fail are named at the end; the others are run all the same."""
    ours, failed = [], []
    for row in table.rows:
        found = {}
        if row.file is not None:
            try:
                found = row_figures(runs, row, values.seeds, run=not values.no_run)
            except (ValueError, OSError) as error:
                failed.append(f"{row.text}: {error}")
        ours.append(found)
    Console().print(side_by_side(table, ours, runs.setting, len(values.seeds)))
    if values.json:
        record(values.json, as_data(table, ours, runs.setting, values.seeds))
    if failed:
        raise ValueError("; ".join(failed))
    return 0


def _tell(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)


def _overview(tables: list[PaperTable], runs: Runs, seeds: list[int]) -> Table:
    title = "Tables of the papers" + (f" ({described(runs.setting.differs)})" if runs.setting.differs else "")
    result = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    result.add_column("table", no_wrap=True)
    result.add_column("shows")
    for heading in ("rows", "with a recipe", "run"):
        result.add_column(heading, justify="right")
    for table in tables:
        own = [row for row in table.rows if row.file is not None]
        done = sum(all(runs.is_done(row, seed) for seed in seeds) for row in own if row.measure != "speed")
        result.add_row(table.name, table.title, str(len(table.rows)), str(len(own)), str(done))
    return result


def _plan(table: PaperTable, runs: Runs, seeds: list[int]) -> Table:
    result = Table(title=f"{table.name}: {table.title}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("row", "seed", "to do", "run"):
        result.add_column(heading, overflow="fold")
    for row in table.rows:
        for seed in seeds if row.file is not None else ():
            result.add_row(row.text, str(seed), _to_do(row, runs, seed), str(_directory(row, runs, seed)))
    return result


def _directory(row: Row, runs: Runs, seed: int) -> Path:
    assert row.file is not None
    return runs.directory(row.file.training, seed)


def _to_do(row: Row, runs: Runs, seed: int) -> str:
    if row.measure in ("speed", "complexity"):
        return {"speed": "time the model", "complexity": "count"}[row.measure]
    if runs.is_done(row, seed):
        return "nothing"
    if (_directory(row, runs, seed) / "last.safetensors").exists():
        return "score"
    recipe = runs.recipe(row, seed)
    length = f"{recipe.schedule.epochs:g} epochs" if recipe.schedule.epochs else f"{recipe.schedule.steps:,} steps"
    what = f"train {length} on {recipe.data.name} {recipe.data.train}"
    return {"server": what, "upper-bound": "train on labels, score"}.get(row.measure, f"{what}, score")
