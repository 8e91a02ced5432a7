"""The papers' tables as the recipes describe them: `PAPER/tables.yaml` lists the rows, recipe files hold the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from offstride.train.recipe_file import RecipeFile, load_recipe_file

MEASURES = ("accuracy", "complexity", "speed", "upper-bound", "server")


class Figure(NamedTuple):
    """A quantity of the tables: what it is called, in which unit (that of the print), and with how many decimals."""

    title: str
    unit: str
    digits: int = 2
    kind: str = "accuracy"


FIGURES = {
    "miou": Figure("mIoU", "%"),
    "pixel_accuracy": Figure("pixel accuracy", "%"),
    "upper_bound": Figure("mIoU*", "%", kind="upper-bound"),
    "parameters": Figure("parameters", "M", kind="complexity"),
    "macs": Figure("MACs", "G", kind="complexity"),
    "flops": Figure("FLOPs", "G", kind="complexity"),
    "extra_parameters": Figure("more parameters", "M", kind="complexity"),
    "extra_macs": Figure("more MACs", "G", kind="complexity"),
    "decoder_flops": Figure("FLOPs of the decoder", "G", kind="complexity"),
    "frames_per_second": Figure("frames per second", "", kind="speed"),
    "relative_time": Figure("relative training time", "", kind="time"),
    "score": Figure("final score", "", 4, kind="server"),
    "classes": Figure("IoU of each class", "%", 1),
}
"""Names of figures in recipe files."""


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        text: What the paper calls it.
        published: Printed figures by name, in the units of `FIGURES`.
        file: Its recipe file; None for a figure that nothing here could give.
        measure: What has to be done for it: `accuracy` (train and score), `server` (train; labels are not public),
            `complexity` (count), `speed` (time), `upper-bound` (train on labels alone).
        against: Recipe file of the row that differences are taken to.
        size: (height, width) that costs are counted for.
        remark: What a reader should know.
    """

    text: str
    published: Mapping[str, Any]
    file: RecipeFile | None = None
    measure: str = "accuracy"
    against: Path | None = None
    size: tuple[int, int] = (512, 512)
    remark: str = ""

    @property
    def training(self) -> Path:
        """Recipe file of its training.

        Raises:
            ValueError: If it has none.
        """
        if self.file is None:
            raise ValueError(f"row: expected one with a recipe file, got {self.text!r}")
        return self.file.training


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper.

    Attributes:
        name: Such as `lau/3a`.
        paper: Authors and year.
        title: What it shows.
        rows: In the order of print.
    """

    name: str
    paper: str
    title: str
    rows: tuple[TableRow, ...]

    @property
    def remarks(self) -> list[str]:
        """What a reader should know, in the order of the rows."""
        return list(dict.fromkeys(row.remark for row in self.rows if row.remark))


def table_names(recipes: Path) -> list[str]:
    """Names of all tables, in the order of the papers' folders and of print.

    Raises:
        ValueError: If the folder holds no tables.
    """
    lists = sorted(recipes.glob("*/tables.yaml"))
    names = [f"{path.parent.name}/{name}" for path in lists for name in _read(path)["tables"]]
    if not names:
        raise ValueError(f"recipes: expected the folder of recipes with PAPER/tables.yaml, got {recipes}")
    return names


def read_table(recipes: Path, name: str) -> PaperTable:
    """One table.

    Raises:
        ValueError: If there is no such table, or its list or one of its recipe files is wrong.
    """
    if name not in (known := table_names(recipes)):
        close = get_close_matches(name, known, n=5, cutoff=0.3)
        hint = f"; close: {', '.join(close)}" if close else ""
        raise ValueError(f"table: expected a name that `offstride table --list` shows, got {name!r}{hint}")
    paper, number = name.split("/")
    listed = _read(recipes / paper / "tables.yaml")
    entry = listed["tables"][number]
    rows = tuple(_row(each, recipes / paper / number, name) for each in entry["rows"])
    return PaperTable(name, listed["title"], entry["title"], rows)


def read_tables(recipes: Path) -> list[PaperTable]:
    """All tables; see `read_table`."""
    return [read_table(recipes, name) for name in table_names(recipes)]


def _read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    if not isinstance(content, Mapping) or not isinstance(content.get("tables"), Mapping):
        raise ValueError(f"{path}: expected a title and tables")
    return dict(content)


def _row(entry: Any, folder: Path, name: str) -> TableRow:
    """A row from its recipe file, or from what stands in the list itself."""
    if isinstance(entry, Mapping):
        return TableRow(entry["row"], _checked(entry["published"], folder), remark=entry.get("remark", ""))
    file = load_recipe_file(folder / entry)
    described = file.table
    if described.get("id") != name:
        raise ValueError(f"recipe {file.path}: table: id: expected {name}, got {described.get('id')!r}")
    if (measure := described.get("measure", "accuracy")) not in MEASURES:
        raise ValueError(f"recipe {file.path}: measure: expected one of {', '.join(MEASURES)}, got {measure!r}")
    against = described.get("against")
    return TableRow(
        described["row"],
        _checked(described["published"], file.path),
        file,
        measure,
        None if against is None else (file.path.parent / against).resolve(),
        tuple(described.get("size", (512, 512))),
        described.get("remark", ""),
    )


def _checked(published: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    if unknown := [name for name in published if name not in FIGURES]:
        raise ValueError(f"{path}: published: expected some of {', '.join(FIGURES)}, got {', '.join(unknown)}")
    return published
