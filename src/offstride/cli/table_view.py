"""Tables of the papers on the terminal: all of them, what one would run, and one beside its print."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from offstride.cli.console import columns, simple_table
from offstride.experiments.figures import Summary
from offstride.experiments.runs import Runs
from offstride.experiments.setting import Setting, described
from offstride.experiments.tables import FIGURES, PaperTable, TableRow

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
Ours = Mapping[str, Summary]


def overview(tables: Sequence[PaperTable], runs: Runs, seeds: Sequence[int]) -> Table:
    """All tables, and how many of their rows have been run."""
    title = "Tables of the papers" + (f" ({described(runs.setting.differs)})" if runs.setting.differs else "")
    counts = columns("rows", "with a recipe", "run", justify="right")
    result = simple_table(title, *columns("table", no_wrap=True), "shows", *counts)
    for table in tables:
        own = [row for row in table.rows if row.file is not None]
        done = sum(all(runs.is_done(row, seed) for seed in seeds) for row in own if row.measure != "speed")
        result.add_row(table.name, table.title, str(len(table.rows)), str(len(own)), str(done))
    return result


def plan(table: PaperTable, runs: Runs, seeds: Sequence[int]) -> Table:
    """What running a table would do."""
    result = simple_table(f"{table.name}: {table.title}", *columns("row", "seed", "to do", "run", overflow="fold"))
    for row in table.rows:
        for seed in seeds if row.file is not None else ():
            result.add_row(row.text, str(seed), runs.to_do(row, seed), str(runs.directory(row.training, seed)))
    return result


def side_by_side(table: PaperTable, ours: Sequence[Ours], setting: Setting, seeds: int) -> Table:
    """Published figures, ours and their difference, with a line for each figure of a row.

    Args:
        table: The paper's.
        ours: Our figures of each row.
        setting: Changes to the recipes; the caption lists them.
        seeds: Number of seeds of each training.
    """
    title = f"{table.paper}, Table {table.name.partition('/')[2]}: {table.title}"
    head = (*columns("row", overflow="fold"), *columns("figure", no_wrap=True))
    numbers = columns("published", "ours", "difference", justify="right", no_wrap=True)
    result = simple_table(title, *head, *numbers, caption=_caption(table, setting, seeds), caption_justify="left")
    for row, figures in zip(table.rows, ours, strict=True):
        style = "dim" if row.file is None else None
        for line, cells in enumerate(_lines(row, figures)):
            mark = f" [{table.remarks.index(row.remark) + 1}]" if row.remark else ""
            name = f"{row.text}{mark}".replace("[", "\\[")
            result.add_row(name if line == 0 else "", *cells, style=style)
    return result


def _lines(row: TableRow, figures: Ours) -> Iterator[tuple[str, str, str, str]]:
    """Name, published value, ours, and the difference."""
    for name, published in row.published.items():
        if isinstance(published, list):
            continue
        figure, own = FIGURES[name], figures.get(name)
        title, printed = f"{figure.title} {figure.unit}".strip(), f"{published:.{figure.digits}f}"
        if own is None:
            yield title, printed, "" if row.file is None else NOTHING, ""
        else:
            spread = "" if own.deviation is None else f" ± {own.deviation:.{figure.digits}f}"
            difference = f"{own.mean - published:+.{figure.digits}f}".replace("-", MINUS)
            yield title, printed, f"{own.mean:.{figure.digits}f}{spread}", difference


def _caption(table: PaperTable, setting: Setting, seeds: int) -> str:
    lines = [f"[{number}] {remark}" for number, remark in enumerate(table.remarks, 1)]
    if any(row.file is None for row in table.rows):
        lines.append("grey: figures of others, without a recipe")
    if seeds > 1:
        lines.append(f"ours: mean ± standard deviation over {seeds} seeds")
    if any(row.measure == "server" for row in table.rows):
        lines.append("test sets without public labels: offstride predict --submission writes what their server takes")
    if setting.differs:
        lines.append(f"NOT THE SETTING OF THE PAPER: {described(setting.differs)}")
    return "\n".join(lines).replace("[", "\\[")
