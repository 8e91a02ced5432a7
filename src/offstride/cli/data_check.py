"""`offstride data check`: faults of a data set, and the frequencies of its classes."""

import json
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from offstride.cli.console import columns, command_parser, progress_bar, simple_table
from offstride.data import OFFICIAL, Audit, ClassSet, SplitAudit, audit_dataset
from offstride.files import write_text

NAMES = ("folder", "camvid", *OFFICIAL)


def main(program: str, arguments: list[str]) -> int:
    """Check a data set; the exit code is 1 if it has a fault."""
    values = _parser(program).parse_args(arguments)
    name, root = _place(values.data, values.root)
    classes = ClassSet.from_file(values.classes) if values.classes else None
    with progress_bar("checking") as progress:
        audit = audit_dataset(name, root, values.split, classes, progress=progress)
    console = Console(soft_wrap=True)
    console.print(class_table(audit))
    for problem in audit.problems:
        console.print(f"[red]✗[/red] {problem}", highlight=False)
    for warning in audit.warnings:
        console.print(f"[yellow]![/yellow] {warning}", highlight=False)
    if audit.ok:
        console.print("[green]✓[/green] every file can be read, every pair fits, every value is a class")
    if values.json:
        write_text(values.json, json.dumps(audit.to_dict(), indent=2) + "\n")
    return 0 if audit.ok else 1


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Check every image and label of a data set: sizes, pairs, damaged files, label values, class frequencies.",
    )
    result.add_argument(
        "data", type=str, help=f"{', '.join(NAMES)}; or a folder with images/, labels/ and a class list"
    )
    result.add_argument("--root", type=Path | None, help="folder of the data set")
    result.add_argument("--split", type=str | None, help="one split, or several joined by +")
    result.add_argument("--classes", type=Path | None, help="class list (default: the one in the folder)")
    result.add_argument("--json", type=Path | None, help="JSON file to write all results to")
    return result


def _place(data: str, root: Path | None) -> tuple[str, Path]:
    """Name and folder of the data set; a path alone is a data set of the kind `folder`."""
    if data in NAMES and root is not None:
        return data, root
    if root is not None:
        raise ValueError(f"data: expected one of {', '.join(NAMES)}, got {data!r}")
    if data in NAMES and not Path(data).is_dir():
        raise ValueError(f"root: expected the folder that holds {data!r} (--root), got none")
    return "folder", Path(data)


def class_table(audit: Audit) -> Table:
    """Pairs, sizes, and the share of pixels of every class in every split."""
    names = (name or "all" for name in audit.splits)
    head = (*columns("", no_wrap=True), *columns(*names, justify="right", overflow="fold"))
    table = simple_table(audit.root, *head, caption="share of pixels, and the number of images that show the class")
    splits = audit.splits.values()
    table.add_row("images", *(str(split.pairs) for split in splits))
    if any(split.official is not None for split in splits):
        table.add_row("published", *("–" if split.official is None else str(split.official) for split in splits))
    table.add_row("sizes", *(_sizes(split.smallest, split.largest) for split in splits))
    table.add_section()
    for index, name in enumerate(audit.classes.names):
        table.add_row(name, *(_share(split, split.shares[index], split.images[index]) for split in splits))
    table.add_section()
    table.add_row("ignored", *(_share(split, split.ignored_share) for split in splits))
    return table


def _share(split: SplitAudit, share: float, images: int | None = None) -> str:
    """A share in per cent and a number of images, if given; a dash if the split has no labels."""
    if not sum(split.pixels) + split.ignored + split.unknown:
        return "–"
    return f"{100 * share:.2f} %  {'' if images is None else images:>{len(str(split.pairs))}}"


def _sizes(smallest: tuple[int, int] | None, largest: tuple[int, int] | None) -> str:
    if smallest is None or largest is None:
        return "–"
    spans = (f"{low}" if low == high else f"{low}–{high}" for low, high in zip(smallest, largest, strict=True))
    return " × ".join(spans)
