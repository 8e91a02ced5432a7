"""What all pages share: text, templates, embedded pictures, writing."""

import base64
import io
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from offstride.files import write_text
from offstride.visualize.curves import lay_out
from offstride.visualize.offsets import color_wheel
from offstride.visualize.tables import cells, difference

_SHARP_WIDTH = 480


def versions() -> dict[str, str]:
    """Name -> version of what a page was made with."""
    return {"Python": platform.python_version()} | {name: version(name) for name in ("offstride", "torch", "timm")}


@dataclass(frozen=True, kw_only=True)
class PageText:
    """What every page says. Text is plain; blank lines separate paragraphs.

    Args:
        title: Heading.
        intro: What was done and why, or what is shown.
        facts: Name -> value, such as data, steps, seed, or the parts of the model.
        notes: Remarks, such as how a score is defined.
        versions: Name -> version of what was used.
    """

    title: str
    intro: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=versions)


def template(name: str) -> jinja2.Template:
    """A template with the functions that templates call; a missing name raises."""
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    """Shared by all pages, so that each template is compiled once."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("offstride.visualize"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(
        cells=cells, color_wheel=color_wheel, data_uri=data_uri, difference=difference, lay_out=lay_out
    )
    return environment


def write_page(path: str | os.PathLike[str], text: str) -> None:
    """Write a page; missing folders are made.

    Raises:
        ValueError: If the file cannot be written.
    """
    try:
        write_text(Path(path), text)
    except OSError as error:
        raise ValueError(f"path: expected a file that can be written, got {path}: {error}") from error


def data_uri(picture: np.ndarray, *, quality: int = 90) -> str:
    """Encode an `(H, W, 3)` or `(H, W, 4)` uint8 picture for the `src` of an HTML image.

    Pictures of few colours, such as label maps, become PNG, enlarged pixel by pixel so that no browser blurs them;
    those of many colours become JPEG of this quality; those with transparency become PNG.
    """
    image = Image.fromarray(picture)
    if image.mode == "RGBA":
        return _encode(image, "PNG", optimize=True)
    if image.getcolors(256) is None:
        return _encode(image, "JPEG", quality=quality, subsampling=0)
    factor = -(-_SHARP_WIDTH // image.width)
    size = (image.width * factor, image.height * factor)
    return _encode(image.resize(size, Image.Resampling.NEAREST), "PNG", optimize=True)


def _encode(image: Image.Image, file_format: str, **options: object) -> str:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return f"data:image/{file_format.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
