"""What the papers print about the cost of their models (`published.yaml`), beside ours."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from offstride.models.complexity import decoder_flops
from offstride.models.costs import costs_of, ghost_preset, read_costs
from offstride.models.presets import PRESETS, read_yaml

_ROWS = read_yaml("published.yaml")["rows"]

PAPER_ROWS = sum(len(row["figures"]) for row in _ROWS)
"""Number of rows that `paper_rows` gives."""


@dataclass(frozen=True)
class PaperRow:
    """A figure of a paper beside ours.

    Attributes:
        quantity: `parameters`, `macs`, `flops`, or one of these with `extra_` (beyond the row that it is compared with)
            or `decoder_` before it; `frames_per_second`.
        published: The printed figure in units (not millions), or None where the paper prints none.
        ours: The same quantity, counted; None for a speed that was not measured.
        note: Where print and model disagree, why.
    """

    paper: str
    table: str
    row: str
    quantity: str
    published: float | None
    ours: float | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def paper_rows(
    progress: Callable[[int], None] = lambda done: None, speed: Callable[[str], float] | None = None
) -> list[PaperRow]:
    """All rows that we have a count for. Costs at the papers' own sizes come from the table that a test keeps right;
    others are counted from shapes alone.

    Args:
        progress: Progress callback: `report(rows done)`.
        speed: Frames per second of a published model on this machine, by name.
    """
    rows: list[PaperRow] = []
    for row in _ROWS:
        preset = PRESETS[row["model"]]
        for quantity, (published, *note) in row["figures"].items():
            ours = _count(row, quantity, speed)
            name = row.get("row", preset.row)
            rows.append(PaperRow(preset.paper, row["table"], name, quantity, published, ours, *note))
            progress(len(rows))
    return rows


def _count(row: Mapping[str, Any], quantity: str, speed: Callable[[str], float] | None) -> float | None:
    name, size = row["model"], row.get("size")
    if quantity == "frames_per_second":
        return speed(name) if speed else None
    if quantity == "decoder_flops":
        return decoder_flops(ghost_preset(name), PRESETS[name].size)
    costs = costs_of(name, tuple(size)) if size else read_costs()[name]
    if quantity.startswith("extra_"):
        kind = quantity.removeprefix("extra_")
        return costs[kind] - costs_of(row["beyond"], tuple(row["size"]))[kind]
    if quantity == "flops":
        return 2 * costs["macs"]
    return costs[quantity] + (row.get("unused", 0) if quantity == "parameters" else 0)
