"""Line charts for documents, and the key to the class colours."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from offstride.data.catalog import ClassSet

_COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#8e5ea2", "#c98a1b", "#4d4d4d")


@dataclass(frozen=True)
class ChartLine:
    """A line.

    Args:
        name: Its text in the legend.
        points: (x, y) from left to right; a single one becomes a level over the whole width.
        colour: Number of its colour; lines that belong together share one.
        style: matplotlib's line style: `"-"`, `"--"`, `":"`.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    style: str = "-"


def save_chart(
    path: str | Path,
    lines: Sequence[ChartLine],
    *,
    x: str,
    y: str,
    title: str = "",
    ticks: Sequence[float] = (),
    logarithmic: bool = False,
) -> None:
    """Draw lines into a file.

    Args:
        path: File to write; its ending gives the format (png, svg, pdf).
        lines: At least one with points.
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        title: Above the chart.
        ticks: The only ticks of the horizontal axis; chosen if empty.
        logarithmic: Whether the horizontal axis is logarithmic.

    Raises:
        ValueError: If no line has points, or the ending is unknown.
    """
    if not any(line.points for line in lines):
        raise ValueError("lines: expected at least one with points, got none")
    path = Path(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.5), dpi=144, layout="constrained")
    if path.suffix.removeprefix(".") not in figure.canvas.get_supported_filetypes():
        raise ValueError(f"path: expected a file ending such as .png, .svg or .pdf, got {str(path)!r}")
    axes = figure.add_subplot()
    for line in lines:
        _draw(axes, line)
    if logarithmic:
        axes.set_xscale("log", base=2)
    if ticks:
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw(axes, line: ChartLine) -> None:
    look = {"color": _COLOURS[line.colour % len(_COLOURS)], "linestyle": line.style, "label": line.name}
    if len(line.points) == 1:
        axes.axhline(line.points[0][1], linewidth=1.2, **look)
    elif line.points:
        axes.plot(*zip(*line.points, strict=True), marker="o", markersize=4, linewidth=1.6, **look)


def legend(classes: ClassSet, *, columns: int = 1, dpi: float = 144) -> np.ndarray:
    """Draw names beside their colours, black on white, cut close to the text.

    Args:
        classes: Names and palette.
        columns: Number of columns, filled one after the other.
        dpi: Pixels per inch; the text is 10 points high.

    Returns:
        `(H, W, 3)` uint8.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(dpi=dpi)
    rows = zip(classes.names, classes.palette, strict=True)
    patches = [Patch(facecolor="#{:02x}{:02x}{:02x}".format(*color), label=_plain(name)) for name, color in rows]
    figure.legend(handles=patches, ncols=columns, frameon=False, loc="center", handlelength=1.4, handleheight=1.0)
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.08)
    return np.asarray(Image.open(file).convert("RGB"))


def _plain(name: str) -> str:
    """Text without formulas, and without a leading underscore, which would hide the entry."""
    return "\u200b" * name.startswith("_") + name.replace("$", r"\$")
