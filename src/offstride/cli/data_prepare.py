"""`offstride data prepare`: unpack the published archives of a data set into the folders that training reads."""

from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.markup import escape

from offstride.cli.console import command_parser, progress_bar
from offstride.data import ARCHIVES, Prepared, prepare_dataset


def main(program: str, arguments: list[str]) -> int:
    """Check and unpack archives; the exit code is 0 even if archives of some splits are missing."""
    values = _parser(program).parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False)
    with progress_bar("MB") as report:
        prepared = prepare_dataset(
            values.name,
            values["from"],
            values.root,
            skip_checksum=values.skip_checksum,
            progress=lambda done, total: report(done // 10**6, total // 10**6),
            note=lambda line: console.print(f"[green]✓[/green] {line}"),
        )
    _conclude(console, values.name, values.root, prepared)
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Check the published archives of a data set and unpack them. Can be stopped and run again; nothing is "
        f"downloaded. Data sets: {', '.join(ARCHIVES)}.",
    )
    result.add_argument("name", type=str, help="data set")
    result.add_argument(
        "--from", type=Path, nargs="+", required=True, help="official archives, or folders that hold them"
    )
    result.add_argument("--root", type=Path, required=True, help="folder for the data set")
    result.add_argument(
        "--skip-checksum", action="store_true", help="accept any readable archive, whatever its checksum"
    )
    return result


def _conclude(console: Console, name: str, root: Path, prepared: Prepared) -> None:
    """Print which splits are ready, which archives the others need, and how to check the data set."""
    if prepared.ready:
        console.print(f"ready: {', '.join(prepared.ready)}")
    for needed in dict.fromkeys(prepared.missing.values()):
        splits = [split for split, archives in prepared.missing.items() if archives == needed]
        names = " and ".join(f"{archive.name} ({archive.url})" for archive in needed)
        console.print(f"[yellow]–[/yellow] {', '.join(splits)}: still to come {names}")
    command = {"pascal_context": "pascal_context59"}.get(name, name)
    console.print(f"check it with: offstride data check {command} --root {escape(str(root))}")
