"""The papers' tables: `PAPER/tables.yaml` lists the rows, recipe files describe them."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from offstride.train.recipe_file import RecipeFile, load_recipe_file

MEASURES = ("accuracy", "complexity", "speed", "upper-bound", "server")


class Figure(NamedTuple):
    """A quantity of the tables: its title, its unit and number of decimals in print, and how it is measured."""

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
        text: Its name in the paper.
        published: Published figures by name, in the units of `FIGURES`.
        file: Its recipe file; None for a method that Offstride does not have.
        measure: How its figures are measured: `accuracy` (train and score), `server` (train; labels are not public),
            `complexity` (count), `speed` (time), `upper-bound` (train on labels alone).
        against: Recipe file of the row that differences refer to.
        size: (height, width) of the image that costs are counted for.
        remark: Footnote.
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
        name: Name, such as `lau/3a`.
        paper: Authors and year.
        title: Title.
        rows: Rows in the order of the paper.
    """

    name: str
    paper: str
    title: str
    rows: tuple[TableRow, ...]

    @property
    def remarks(self) -> list[str]:
        """Footnotes, in the order of the rows."""
        return list(dict.fromkeys(row.remark for row in self.rows if row.remark))


def read_table(recipes: Path, name: str) -> PaperTable:
    """One table.

    Raises:
        ValueError: If there is no such table, or its list or one of its recipe files is wrong.
    """
    listed = _listed(recipes)
    if name not in listed:
        close = get_close_matches(name, listed, n=5, cutoff=0.3)
        hint = f"; close: {', '.join(close)}" if close else ""
        raise ValueError(f"table: expected a name that `offstride table --list` shows, got {name!r}{hint}")
    return _table(recipes, name, *listed[name])


def read_tables(recipes: Path) -> list[PaperTable]:
    """All tables, in the order of the papers' folders and of print; see `read_table`."""
    return [_table(recipes, name, *entry) for name, entry in _listed(recipes).items()]


def _listed(recipes: Path) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Paper and entry of every table by name."""
    tables = {}
    for path in sorted(recipes.glob("*/tables.yaml")):
        content = yaml.safe_load(path.read_text())
        if not isinstance(content, Mapping) or not isinstance(content.get("tables"), Mapping):
            raise ValueError(f"{path}: expected a title and tables")
        tables |= {f"{path.parent.name}/{number}": (content["title"], it) for number, it in content["tables"].items()}
    if not tables:
        raise ValueError(f"recipes: expected the folder of recipes with PAPER/tables.yaml, got {recipes}")
    return tables


def _table(recipes: Path, name: str, paper: str, entry: Mapping[str, Any]) -> PaperTable:
    return PaperTable(name, paper, entry["title"], tuple(_row(row, recipes / name, name) for row in entry["rows"]))


def _row(entry: Any, folder: Path, name: str) -> TableRow:
    """A row from its recipe file, or from the list itself."""
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
