"""A page that compares models, in one file: numbers, learning curves, pictures.

The page needs neither network nor JavaScript, follows the reader's light or dark setting and fits narrow screens.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from offstride.data.catalog import ClassSet
from offstride.visualize.curves import Curve
from offstride.visualize.masks import Color, check_picture
from offstride.visualize.page import PageText, template, write_page
from offstride.visualize.tables import MetricRow

Pictures = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Example:
    """Pictures of one scene.

    Args:
        title: Its heading.
        rows: Rows of pictures with their captions; those of a row are shown equally wide.
        note: What to look at.
    """

    title: str
    rows: Sequence[Pictures]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Report(PageText):
    """The text of the page, and what models do. Pictures are uint8 (H, W, 3) or (H, W, 4).

    Args:
        models: Names of the models, in the order of all their values. Of two, the second is compared with the first.
        metrics: One row per quantity, with a value per model.
        per_class: Model -> IoU of every class, in the order of `classes`; NaN where a class is absent.
        classes: Names and colours for the table and the key.
        key: Meaning -> colour of further colours in the pictures, such as those of `compare_errors`.
        curves: Learning curves.
        viewer: Pictures of one size to switch between in place, at first the last one.
        examples: Scenes.
        offset_limit: Length at the rim of the colour wheel in coarse pixels, if offsets are shown.

    Raises:
        ValueError: If values do not match models or classes, or a picture is not one.
    """

    models: Sequence[str]
    metrics: Sequence[MetricRow] = ()
    per_class: Mapping[str, Sequence[float]] = field(default_factory=dict)
    classes: ClassSet | None = None
    key: Mapping[str, Color] = field(default_factory=dict)
    curves: Sequence[Curve] = ()
    viewer: Pictures = field(default_factory=dict)
    examples: Sequence[Example] = ()
    offset_limit: float | None = None

    def __post_init__(self) -> None:
        for row in self.metrics:
            if len(row.values) != len(self.models):
                raise ValueError(f"metrics: expected {len(self.models)} values of {row.name!r}, got {len(row.values)}")
        _check_models("per_class", self.per_class, self.models)
        for curve in self.curves:
            _check_models(f"curve {curve.name!r}", curve.lines, self.models)
        count = len(self.classes or ())
        for model, values in self.per_class.items():
            if len(values) != count:
                raise ValueError(f"per_class: expected {count} values of {model!r}, as classes has, got {len(values)}")
        for pictures in (self.viewer, *(row for example in self.examples for row in example.rows)):
            for title, picture in pictures.items():
                check_picture(f"picture {title!r}", picture, transparent=True)
        sizes = {title: picture.shape[:2] for title, picture in self.viewer.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"viewer: expected pictures of one size, got {sizes}")


def render_report(report: Report) -> str:
    """The page as HTML text."""
    return template("report.html").render(report=report, class_rows=_class_rows(report))


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write the page; missing folders are made.

    Raises:
        ValueError: If the file cannot be written.
    """
    write_page(path, render_report(report))


def _class_rows(report: Report) -> list[tuple[MetricRow, Color, list[tuple[int, float]]]]:
    """(values, colour, marks) of every class; a mark is (number of the model, per cent). Absent models get NaN."""
    if report.classes is None or not report.per_class:
        return []
    absent = [math.nan] * len(report.classes)
    table = zip(*(report.per_class.get(model, absent) for model in report.models), strict=True)
    return [
        (MetricRow(name, values), color, [(i, 100 * value) for i, value in enumerate(values) if not math.isnan(value)])
        for name, color, values in zip(report.classes.names, report.classes.palette, table, strict=True)
    ]


def _check_models(argument: str, values: Mapping[str, object], models: Sequence[str]) -> None:
    strangers = [model for model in values if model not in models]
    if strangers:
        raise ValueError(f"{argument}: expected models out of {list(models)}, got {strangers}")
