"""`offstride predict`: label maps and overlays for images, folders and patterns, or a submission to a test server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jsonargparse import ArgumentParser, Namespace
from PIL import Image

from offstride.cli.console import command_parser, progress_bar
from offstride.cli.model import add_model, model_of
from offstride.cli.protocol import add_protocol, protocol_of
from offstride.data import ImageWindows, find_images, listed_images, open_pixels
from offstride.data.catalog import voc_colors
from offstride.evaluate import SUBMISSIONS, open_submission
from offstride.inference import predict_pixels
from offstride.visualize import overlay, save_label_png

if TYPE_CHECKING:  # both take seconds to import; a wrong option is reported before
    from offstride.export import ExportedModel
    from offstride.models import BaseSegmenter

Pixels = np.ndarray | ImageWindows
Save = Callable[[Path, Pixels, np.ndarray], None]
"""Writes the results of an image: `save(name, pixels, labels)`."""


def main(program: str, arguments: list[str]) -> int:
    """Predict. Unreadable images are reported and skipped, with exit code 2; they make a submission fail."""
    values = _parser(program).parse_args(arguments)
    protocol = protocol_of(values)
    images = find_images(values.images)
    if values.list:
        images = listed_images(images, values.list)
    model = model_of(values, values.model, device=values.device)
    failed = []
    with _saver(values, model) as save, progress_bar("predicting") as progress:
        for done, (name, path) in enumerate(images.items(), 1):
            try:
                pixels = open_pixels(path, in_windows=protocol.in_windows)
                save(name, pixels, predict_pixels(model, pixels, protocol)[0].numpy())
            except (ValueError, OSError) as error:
                if values.submission:
                    raise
                failed.append(str(error))
            progress(done, len(images))
    print(f"{len(images) - len(failed)} images labelled in {values.output}")
    if failed:
        raise ValueError(f"{len(failed)} of {len(images)} images could not be read: {'; '.join(failed[:3])}")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Write NAME.png (class indices with a palette) and NAME_overlay.jpg for every image, or the archive that a "
        "test server expects.",
    )
    add_model(result)
    result.add_argument(
        "images", type=str, nargs="+", help="image files, folders or quoted patterns such as 'a/**/*.jpg'"
    )
    result.add_argument("--list", type=Path | None, help="text file with the names of images, one a line")
    result.add_argument("--output", type=Path, default=Path("predictions"), help="folder, or archive of a submission")
    result.add_argument("--submission", type=str | None, help=f"test server: one of {', '.join(SUBMISSIONS)}")
    result.add_argument("--overlays", type=bool, default=True, help="write overlays")
    result.add_argument("--alpha", type=float, default=0.55, help="opacity of the classes in overlays")
    result.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1 …")
    add_protocol(result)
    return result


@contextmanager
def _saver(values: Namespace, model: BaseSegmenter | ExportedModel) -> Iterator[Save]:
    """The function that writes the results of an image."""
    if values.submission is None:
        yield partial(_save_pictures, values.output, model, values.alpha if values.overlays else None)
        return
    with open_submission(values.submission, values.output, model.classes or model.config.classes) as write:
        yield lambda name, _, labels: write(name.name, labels)


def _save_pictures(
    folder: Path,
    model: BaseSegmenter | ExportedModel,
    alpha: float | None,
    name: Path,
    pixels: Pixels,
    labels: np.ndarray,
) -> None:
    palette = model.classes.palette if model.classes else voc_colors(model.config.classes)
    target = folder / name
    save_label_png(target.with_name(f"{target.name}.png"), labels, palette)
    if alpha is not None:
        picture = Image.fromarray(overlay(pixels[:, :], labels, palette, alpha=alpha))
        picture.save(target.with_name(f"{target.name}_overlay.jpg"), quality=92)
