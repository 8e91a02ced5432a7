"""A page that compares upsamplers, in one file: scores with intervals, charts, costs, classes, pictures.

The page needs neither network nor JavaScript, follows the reader's light or dark setting, fits narrow screens and
prints with everything unfolded.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """An image on which an entry is much better or much worse than the baseline.

    Args:
        entry: Name of the entry.
        kind: Whether it is among the images where it wins most or where it loses most.
        name: Of the image.
        difference: Its part of the entry's difference in mIoU, a share of 1.
        pictures: Title -> uint8 (H, W, 3), in the order shown: the image, the truth, the labels of the baseline and of
            the entry, and their errors as `compare_errors` shows them.

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
        cost_groups=numbers.cost_columns(entries),
        heat=heat_table(report),
        curves=curve_panels(report),
        pictures=pictures,
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
