"""Losses and scores of a run in CSV files, which are continued when it is resumed."""

import csv
from pathlib import Path

from offstride.files import write_whole


class History:
    """Rows of numbers in a CSV file, keyed by `step`; rows are buffered until `flush`.

    Args:
        path: The file; an existing one is continued.
        keep: Rows with a larger `step` are dropped: a resumed run writes them again.

    Attributes:
        last: The last row kept; empty if there is none.
    """

    def __init__(self, path: Path, *, keep: int = 0) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        kept = [row for row in read_history(path) if row["step"] <= keep] if path.exists() else []
        self.last = kept[-1] if kept else {}
        self.fields = list(self.last)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not kept:
            path.unlink(missing_ok=True)
            return
        with write_whole(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.fields)
            writer.writeheader()
            writer.writerows({**row, "step": int(row["step"])} for row in kept)

    def append(self, **row: float) -> None:
        """Add one row; all rows have the columns of the first."""
        self.rows.append(row)

    def flush(self) -> None:
        """Write buffered rows to the file."""
        if not self.rows:
            return
        new = not self.fields
        self.fields = self.fields or list(self.rows[0])
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.fields)
            if new:
                writer.writeheader()
            writer.writerows(self.rows)
        self.rows.clear()


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a CSV file of numbers; an incomplete last line is skipped."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    whole = [row for row in rows if None not in row.values() and "" not in row.values()]
    return [{name: float(value) for name, value in row.items()} for row in whole]
