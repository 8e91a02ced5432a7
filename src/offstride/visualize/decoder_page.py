"""A page of pictures of how a decoder comes to its labels: prediction, offsets, gates, image by image.

Pictures are files beside the page, so that it stays small with many large images; it needs neither network nor
JavaScript.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from offstride.visualize.masks import Color, check_picture, save_png
from offstride.visualize.offsets import heatmap
from offstride.visualize.page import PageText, template, write_page


@dataclass(frozen=True)
class Shot:
    """A picture in a file.

    Args:
        title: Its caption.
        file: Path relative to the page.
        note: More to say below it.
    """

    title: str
    file: str
    note: str = ""

    @property
    def url(self) -> str:
        """The path as the page refers to it."""
        return quote(self.file)


@dataclass(frozen=True)
class DecoderPanel:
    """A section about an image.

    Args:
        title: Its heading.
        text: What there is to see.
        rows: Rows of pictures, those of a row equally wide.
        layers: Pictures of one size to switch between in place, at first the first one.
        key: Meaning -> colour.
        heading: Column heads of the table.
        table: Rows of the table.
        wheel: Length at the rim of the colour wheel, in coarse pixels, if offsets are shown.
        scale: Name of what is painted from 0 (dark) to 1 (bright), if anything is.
    """

    title: str
    text: str = ""
    rows: Sequence[Sequence[Shot]] = ()
    layers: Sequence[Shot] = ()
    key: Mapping[str, Color] = field(default_factory=dict)
    heading: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    wheel: float | None = None
    scale: str = ""


@dataclass(frozen=True)
class DecodedScene:
    """All that is shown of one image.

    Args:
        name: Of the image.
        facts: Name -> value.
        layers: Pictures of one size to switch between in place, at first the last one.
        classes: Name -> colour of the classes to explain.
        key: Meaning -> colour of further colours.
        panels: Further sections.
    """

    name: str
    layers: Sequence[Shot]
    facts: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, Color] = field(default_factory=dict)
    key: Mapping[str, Color] = field(default_factory=dict)
    panels: Sequence[DecoderPanel] = ()


@dataclass(frozen=True, kw_only=True)
class DecoderPage(PageText):
    """The text and the images of the page."""

    scenes: Sequence[DecodedScene] = ()


def render_decoder_page(page: DecoderPage) -> str:
    """The page as HTML text."""
    scale = np.ascontiguousarray(heatmap(np.linspace(0, 1, 480)[None].repeat(12, 0), 0, 1))
    return template("decoder.html").render(page=page, report={"viewer": ()}, scale=scale)


def write_decoder_page(path: str | Path, page: DecoderPage) -> None:
    """Write the page; missing folders are made.

    Raises:
        ValueError: If the file cannot be written.
    """
    write_page(path, render_decoder_page(page))


def save_picture(folder: Path, file: str, picture: np.ndarray) -> str:
    """Write an `(H, W, 3)` uint8 picture as PNG below a folder; missing folders are made.

    Returns:
        `file`, for a `Shot`.

    Raises:
        ValueError: If it is no picture, or the file cannot be written.
    """
    check_picture("picture", picture)
    save_png(folder / file, Image.fromarray(picture))
    return file
