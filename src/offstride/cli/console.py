"""What commands share: parsers, data sets, devices, tables, progress bars and messages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from offstride.data import SampleSet, build_dataset

Report = Callable[[int, int], None]


def command_parser(program: str, description: str, usage: str | None = None) -> ArgumentParser:
    """The parser of a command; wrong options raise an `ArgumentError`."""
    return ArgumentParser(prog=program, description=description, usage=usage, exit_on_error=False)


def add_data(parser: ArgumentParser, split: str, use: str) -> None:
    """Add the options that name a data set, with the default of `--split` and what the split is used for."""
    parser.add_argument("--data", default="folder", help="name of the data set: folder, camvid, streets …")
    parser.add_argument("--root", type=Path | None, help="folder of the data set")
    parser.add_argument("--split", type=str | None, default=split, help=f"split to {use}; null if there are none")
    parser.add_argument("--count", type=int | None, help="number of procedural scenes")
    parser.add_argument("--size", type=tuple[int, int] | None, help="[height, width] of procedural scenes")


def open_data(values: Namespace, split: str | None, count: int | None) -> SampleSet:
    """A split of the data set that the options of `add_data` name, of `count` images if it is procedural."""
    source = {"count": count, "size": values.size} if values.data == "streets" else {"root": values.root}
    return build_dataset(values.data, split, **source)


def pick_device(name: str) -> torch.device:
    """Device by name; `auto` is a GPU if there is one, otherwise the CPU.

    Raises:
        ValueError: If the device cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device: {name!r} cannot be used here ({str(error).splitlines()[0]})") from error
    return device


def simple_table(title: str, *headings: str | Column, **options: Any) -> Table:
    """A table without a frame."""
    return Table(*headings, title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, **options)


def columns(*headings: str, **options: Any) -> list[Column]:
    """Columns of a table with the same options, such as `justify="right"`."""
    return [Column(heading, **options) for heading in headings]


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """A progress bar on standard error, in a terminal only; yields a progress callback: `report(done, total)`."""
    console = Console(stderr=True)
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def announce(text: str) -> None:
    """Print a line on standard error."""
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)
