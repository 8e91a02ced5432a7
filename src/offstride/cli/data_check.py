"""`offstride data check`: what is wrong with a data set, and how its classes are shared out."""

import json
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from offstride.cli.console import progress_bar, write_text
from offstride.data import Audit, ClassSet, audit_folder


def main(program: str, arguments: list[str]) -> int:
    """Check a folder; the exit code is 1 if something is wrong with it."""
    values = _parser(program).parse_args(arguments)
    classes = ClassSet.from_file(values.classes) if values.classes else None
    with progress_bar("checking") as progress:
        audit = audit_folder(values.root, values.split, classes, progress=progress)
    console = Console(soft_wrap=True)
    console.print(class_table(audit))
    for problem in audit.problems:
        console.print(f"[red]✗[/red] {problem}", highlight=False)
    if audit.ok:
        console.print("[green]✓[/green] every file can be read, every pair fits, every value is a class")
    if values.json:
        write_text(values.json, json.dumps(audit.to_dict(), indent=2) + "\n")
    return 0 if audit.ok else 1


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        description="Look at every image and mask of a folder: sizes, pairs, damage, label values, shares of classes.",
        exit_on_error=False,
    )
    result.add_argument("root", type=Path, help="folder with images/, labels/ (or masks/) and a class list")
    result.add_argument("--split", type=str | None, default=None, help="one split only")
    result.add_argument("--classes", type=Path | None, default=None, help="class list, if it is not in the folder")
    result.add_argument("--json", type=Path | None, default=None, help="file for all findings")
    return result


def class_table(audit: Audit) -> Table:
    """Pairs, sizes, and the share of pixels of every class in every split."""
    table = Table(title=audit.root, title_justify="left")
    table.add_column("")
    for name in audit.splits:
        table.add_column(name or "all", justify="right")
    splits = audit.splits.values()
    table.add_row("pairs", *(str(split.pairs) for split in splits))
    table.add_row("sizes", *(_sizes(split.smallest, split.largest) for split in splits))
    table.add_section()
    for index, name in enumerate(audit.classes.names):
        cells = (f"{100 * split.shares[index]:.2f} %  {split.images[index]:>5}" for split in splits)
        table.add_row(name, *cells)
    table.add_section()
    table.add_row("ignored", *(f"{100 * split.ignored_share:.2f} %      " for split in splits))
    table.caption = "share of pixels, and the number of images that show the class"
    return table


def _sizes(smallest: tuple[int, int] | None, largest: tuple[int, int] | None) -> str:
    if smallest is None or largest is None:
        return "–"
    spans = (f"{low}" if low == high else f"{low}–{high}" for low, high in zip(smallest, largest, strict=True))
    return " × ".join(spans)
