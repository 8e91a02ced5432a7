"""A page that compares upsamplers, in one file: scores with intervals, charts, costs, classes, pictures.

The page needs no network and no JavaScript, follows the reader's light or dark setting, fits narrow screens and prints
with everything unfolded.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np

from offstride.visualize.comparison import numbers
from offstride.visualize.comparison.charts import cost_charts, curve_panels, forests, trimap_charts
from offstride.visualize.comparison.classes import heat_table
from offstride.visualize.comparison.text import facts, made, notes, reservations, result
from offstride.visualize.masks import BROKEN, FIXED, MISSED, check_picture
from offstride.visualize.page import template, write_page
from offstride.visualize.placing import shorten


@dataclass(frozen=True)
class ComparisonPicture:
    """An image on which an entry wins or loses much against the baseline.

    Args:
        entry: Name of the entry.
        kind: Whether it is among the images where it wins most or where it loses most.
        name: Of the image.
        difference: What it adds to the entry's difference in mIoU, a share of 1.
        pictures: Title -> uint8 (H, W, 3), in the order shown: the image, the truth, the labels of the baseline and of
            the entry, and which of them errs where, in the colours of `compare_errors`.

    Raises:
        ValueError: If the kind is unknown or a picture is not one.
    """

    entry: str
    kind: Literal["wins", "losses"]
    name: str
    difference: float
    pictures: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if self.kind not in ("wins", "losses"):
            raise ValueError(f"kind: expected 'wins' or 'losses', got {self.kind!r}")
        for title, picture in self.pictures.items():
            check_picture(f"picture {title!r} of {self.name!r}", picture)


def render_comparison_page(report: Mapping[str, Any], pictures: Sequence[ComparisonPicture] = ()) -> str:
    """The page as HTML text.

    Args:
        report: What `offstride compare` writes as report.json; the baseline is the first of its entries.
        pictures: Images where entries win and lose most, shown entry by entry.

    Raises:
        ValueError: If a picture belongs to no entry.
    """
    entries = report["entries"]
    names = [entry["name"] for entry in entries]
    strangers = [picture.entry for picture in pictures if picture.entry not in names]
    if strangers:
        raise ValueError(f"pictures: expected entries out of {names}, got {strangers}")
    columns = numbers.cost_columns(entries)
    return template("comparison.html").render(
        report=report,
        numbers=numbers,
        shorten=shorten,
        result=result(report),
        reservations=reservations(report),
        facts=facts(report),
        several=max(entry["runs"] for entry in entries) > 1,
        forests=forests(report),
        trimaps=trimap_charts(report),
        scatters=cost_charts(report),
        columns=columns,
        column_groups=[(_group(entries, key), len(list(them))) for key, them in groupby(columns, lambda it: it.group)],
        column_starts=_starts(columns),
        heat=heat_table(report),
        curves=curve_panels(report),
        pictures=_by_entry(names, pictures),
        key={f"Only {names[0]} is wrong": FIXED, "Only the other is wrong": BROKEN, "Both are wrong": MISSED},
        page={"notes": notes(report), "versions": made(report)},
    )


def write_comparison_page(
    path: str | os.PathLike[str], report: Mapping[str, Any], pictures: Sequence[ComparisonPicture] = ()
) -> None:
    """Write the page; missing folders are made.

    Raises:
        ValueError: If a picture belongs to no entry, or the file cannot be written.
    """
    write_page(path, render_comparison_page(report, pictures))


def _group(entries: Sequence[Mapping[str, Any]], key: str) -> str:
    return numbers.device_name(entries, key) if key in numbers.devices(entries) else key


def _starts(columns: Sequence[numbers.CostColumn]) -> list[bool]:
    """Whether a column is the first of its group."""
    return [not index or column.group != columns[index - 1].group for index, column in enumerate(columns)]


def _by_entry(
    names: Sequence[str], pictures: Sequence[ComparisonPicture]
) -> list[tuple[int, str, dict[str, list[ComparisonPicture]]]]:
    """(number, name, kind -> pictures) of the entries that have any."""
    shown = []
    for index, name in enumerate(names):
        mine = {kind: [it for it in pictures if (it.entry, it.kind) == (name, kind)] for kind in ("wins", "losses")}
        mine = {kind: them for kind, them in mine.items() if them}
        if mine:
            shown.append((index, name, mine))
    return shown
