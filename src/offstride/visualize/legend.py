"""The key to the class colours, as a picture to put beside label maps."""

import io

import numpy as np
from PIL import Image

from offstride.data.catalog import ClassSet


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
