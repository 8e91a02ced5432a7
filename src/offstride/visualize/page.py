"""What all pages share: templates, versions, writing."""

import os
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import jinja2

from offstride.files import write_text
from offstride.visualize.curves import lay_out
from offstride.visualize.embed import data_uri
from offstride.visualize.offsets import color_wheel
from offstride.visualize.tables import cells, difference


def versions() -> dict[str, str]:
    """Name -> version of what a page was made with."""
    return {"Python": platform.python_version()} | {name: version(name) for name in ("offstride", "torch", "timm")}


def template(name: str) -> jinja2.Template:
    """A template with the functions that templates call; a name that is missing in a page raises."""
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    """One for all pages, so that a template is compiled once."""
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
