"""What commands share: devices, progress, and what they say while they work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[int, int], None]


def pick_device(name: str) -> torch.device:
    """Device by name; `auto` takes a GPU where there is one.

    Raises:
        ValueError: If the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device: {name!r} cannot be used here ({str(error).splitlines()[0]})") from error
    return device


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """A progress bar on standard error, in a terminal only; yields a progress callback: `report(done, total)`."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def announce(text: str) -> None:
    """Print a line on standard error."""
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)
