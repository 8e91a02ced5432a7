"""The page of `offstride sharpen`, in one file: what changes, and what it gains and costs.

The page needs no network, follows the reader's light or dark setting and fits narrow screens. A few lines of script
move the sliders; without them each shows half before and half after.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offstride.visualize.comparison import numbers
from offstride.visualize.comparison.charts import forests, trimap_charts
from offstride.visualize.comparison.classes import heat_table
from offstride.visualize.comparison.text import made
from offstride.visualize.masks import Color
from offstride.visualize.page import template, write_page
from offstride.visualize.placing import shorten
from offstride.visualize.sharpening import text
from offstride.visualize.sharpening.layers import (
    CHANGES,
    SMALL,
    BeforeAfter,
    change_layer,
    label_layer,
    photograph,
)

GROUPS = {
    "gains": "Where it gains most",
    "losses": "Where it loses most",
    "yours": "Your photographs",
}


def render_sharpen_page(report: Mapping[str, Any], pictures: Sequence[BeforeAfter] = ()) -> str:
    """The page as HTML text.

    Args:
        report: What `offstride sharpen` writes as report.json; without labels it has no entries.
        pictures: Images before and after.
    """
    palette = [tuple(color) for color in report["data"]["colors"]]
    shots = [_shot(picture, palette) for picture in pictures]
    scored = bool(report["entries"])
    return template("sharpen.html").render(
        report=report,
        numbers=numbers,
        shorten=shorten,
        text=text,
        several=False,
        typical=[shot for shot in shots if shot["group"] == "typical"],
        groups={title: [shot for shot in shots if shot["group"] == key] for key, title in GROUPS.items()},
        forests=forests(report) if scored and len(report["entries"]) > 2 else [],
        trimaps=trimap_charts(report) if scored else [],
        heat=heat_table(report) if scored else None,
        cost_groups=numbers.cost_columns(report["entries"]) if scored else {},
        key=CHANGES if any(picture.label is not None for picture in pictures) else {"changes": CHANGES["unknown"]},
        changes=CHANGES,
        seen=_seen(report, pictures),
        page={"notes": text.notes(report), "versions": made(report)},
    )


def write_sharpen_page(
    path: str | os.PathLike[str], report: Mapping[str, Any], pictures: Sequence[BeforeAfter] = ()
) -> None:
    """Write the page; missing folders are made.

    Raises:
        ValueError: If the file cannot be written.
    """
    write_page(path, render_sharpen_page(report, pictures))


def _shot(picture: BeforeAfter, palette: Sequence[Color]) -> dict[str, Any]:
    """The layers of a picture, and the words beside it."""
    box, (height, width) = picture.closeup(), picture.before.shape
    detail = picture.cut(box)
    shares = picture.shares()
    return {
        "group": picture.group,
        "name": picture.name,
        "scores": picture.scores,
        "size": (width, height),
        "changed": sum(shares.values()),
        "shares": {name: share for name, share in shares.items() if share},
        "photo": photograph(picture.image),
        "before": label_layer(picture.before, palette),
        "after": label_layer(picture.after, palette),
        "truth": None if picture.label is None else label_layer(picture.label, palette),
        "box": [100 * part for part in (box.left / width, box.top / height, box.width / width, box.height / height)],
        "detail": {
            "photo": photograph(detail.image, SMALL),
            "truth": None,
            "before": label_layer(detail.before, palette, SMALL, borders=False),
            "after": label_layer(detail.after, palette, SMALL, borders=False),
        },
        "small": photograph(picture.image, SMALL),
        "changes": change_layer(picture),
    }


def _seen(report: Mapping[str, Any], pictures: Sequence[BeforeAfter]) -> dict[str, Color]:
    """Names and colours of the classes in the pictures."""
    maps = (part for picture in pictures for part in (picture.before, picture.after))
    found = {int(value) for part in maps for value in np.unique(part)}
    classes, colors = report["data"]["classes"], report["data"]["colors"]
    return {classes[index]: tuple(colors[index]) for index in sorted(found) if index < len(classes)}
