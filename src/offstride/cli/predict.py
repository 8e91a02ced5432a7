"""`offstride predict`: label maps and overlays for images, folders and patterns, or a submission to a test server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from glob import glob, has_magic
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch
from jsonargparse import ArgumentParser, Namespace
from PIL import Image

from offstride.cli.console import pick_device, progress_bar
from offstride.cli.protocol import add_protocol, protocol_of
from offstride.data import EvalTransform, ImageWindows, Sample
from offstride.data.catalog import voc_colors
from offstride.data.decode import read_image
from offstride.data.layout import IMAGE_SUFFIXES
from offstride.evaluate import SUBMISSIONS, open_submission
from offstride.export import ExportedModel, load_exported
from offstride.export.runtime import SUFFIXES
from offstride.field import argmax
from offstride.inference import InferenceProtocol, label_sliding, pixel_reader
from offstride.models import Segmenter
from offstride.visualize import overlay, save_label_png

Model = Segmenter | ExportedModel
Pixels = np.ndarray | ImageWindows
Save = Callable[[Path, Pixels, np.ndarray], None]
"""Takes the place of an image's results, its pixels and its labels."""


def main(program: str, arguments: list[str]) -> int:
    """Predict; an image that cannot be read is named and left out, and the exit code is then 2. A submission is
    complete, or it is not written.
    """
    values = _parser(program).parse_args(arguments)
    protocol = protocol_of(values)
    model = _load(values)
    images = find_images(values.images)
    if values.list:
        images = listed(images, values.list)
    failed = []
    with _saver(values, model) as save, progress_bar("predicting") as progress:
        for done, (name, path) in enumerate(images.items(), 1):
            try:
                save(name, *predict_file(model, path, protocol))
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
    result = ArgumentParser(
        prog=program,
        description="Write NAME.png (class indices with a palette) and NAME_overlay.jpg for every image, or what a "
        "test server takes.",
        exit_on_error=False,
    )
    result.add_argument("checkpoint", type=Path, help="model file (.safetensors), or an exported one (.onnx, .pt2)")
    result.add_argument(
        "images", type=str, nargs="+", help="image files, folders or quoted patterns such as 'a/**/*.jpg'"
    )
    result.add_argument(
        "--list", type=Path | None, default=None, help="text file: names of the images to take, a line each"
    )
    result.add_argument("--output", type=Path, default=Path("predictions"), help="folder, or archive of a submission")
    result.add_argument("--submission", type=str | None, default=None, help=f"one of {', '.join(SUBMISSIONS)}")
    result.add_argument("--overlays", type=bool, default=True, help="write overlays")
    result.add_argument("--alpha", type=float, default=0.55, help="opacity of the classes in overlays")
    result.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1 …")
    add_protocol(result)
    return result


def _load(values: Namespace) -> Model:
    """The model of a checkpoint, or of an exported file."""
    path = values.checkpoint
    if path.suffix not in SUFFIXES:
        return Segmenter.load(path, output_stride=values.output_stride).to(pick_device(values.device)).eval()
    if values.output_stride is not None:
        raise ValueError(f"output_stride: fixed in an exported file, got {values.output_stride} for {path}")
    return load_exported(path, device="cpu" if values.device == "auto" else pick_device(values.device))


def _device(model: Model) -> torch.device:
    return model.device if isinstance(model, ExportedModel) else next(model.parameters()).device


def find_images(sources: list[str]) -> dict[Path, Path]:
    """Image files by the place of their results, relative to the output and without suffix.

    Files of a folder, or of a pattern, keep their place below it.

    Raises:
        ValueError: If a source has no images, or two images would have the same results.
    """
    found: dict[Path, Path] = {}
    for source in sources:
        pairs = list(_expand(source))
        if not pairs:
            raise ValueError(f"images: nothing found for {source!r}; looked for {', '.join(IMAGE_SUFFIXES)}")
        for name, path in pairs:
            if found.setdefault(name, path) != path:
                raise ValueError(f"images: {found[name]} and {path} would both be written to {name}.png")
    return found


def _expand(source: str) -> Iterator[tuple[Path, Path]]:
    path = Path(source)
    if path.is_file():
        yield Path(path.stem), path
        return
    fixed = path if path.is_dir() else Path(*takewhile(lambda part: not has_magic(part), path.parts))
    candidates = path.rglob("*") if path.is_dir() else map(Path, glob(source, recursive=True))
    for file in sorted(candidates):
        if file.is_file() and file.suffix.lower() in IMAGE_SUFFIXES:
            yield file.relative_to(fixed).with_suffix(""), file


def listed(images: dict[Path, Path], path: Path) -> dict[Path, Path]:
    """The images whose stems a text file names, one a line, in its order, such as `ImageSets/Segmentation/test.txt`.

    Raises:
        ValueError: If the file cannot be read or is empty, or there is no image of a name.
    """
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"list: {path} cannot be read ({error})") from error
    stems = {place.name: place for place in images}
    missing = [name for name in names if name not in stems]
    if missing or not names:
        raise ValueError(f"list: expected names of images in {path}, no image is named {', '.join(missing[:3])!r}")
    return {stems[name]: images[stems[name]] for name in names}


def predict_file(model: Model, path: Path, protocol: InferenceProtocol) -> tuple[Pixels, np.ndarray]:
    """Pixels and `(H, W)` labels of an image file; windows of an image of its own size are read one by one."""
    if protocol.window is None or not protocol.single_scale:
        pixels = read_image(path)
        tensor, _ = EvalTransform(model.mean, model.std)(_unlabelled(pixels, path))
        images = tensor[None].to(_device(model))
        return pixels, argmax(protocol.field(model.field, images))[0].cpu().numpy()
    windows = ImageWindows(path)
    return windows, _label_in_parts(model, windows, protocol.window, protocol)


def _unlabelled(pixels: np.ndarray, path: Path) -> Sample:
    return Sample(
        torch.from_numpy(pixels).permute(2, 0, 1), torch.zeros(pixels.shape[:2], dtype=torch.uint8), path.stem
    )


def _label_in_parts(
    model: Model, windows: ImageWindows, window: tuple[int, int], protocol: InferenceProtocol
) -> np.ndarray:
    H, W, _ = windows.shape
    read = pixel_reader(windows, model.mean, model.std, _device(model))
    options = {"window": window, "overlap": protocol.overlap, "flip": protocol.flip, "reduce": protocol.reduce}
    labels, row = np.empty((H, W), np.uint8 if model.config.classes <= 256 else np.int64), 0
    for band in label_sliding(model.field, read, (H, W), **options):
        labels[row : row + len(band)] = band.cpu().numpy()
        row += len(band)
    return labels


@contextmanager
def _saver(values: Namespace, model: Model) -> Iterator[Save]:
    """What writes the results of an image."""
    if values.submission is None:
        yield partial(_save_pictures, values.output, model, values.alpha if values.overlays else None)
        return
    with open_submission(values.submission, values.output, model.classes or model.config.classes) as write:
        yield lambda name, _, labels: write(name.name, labels)


def _save_pictures(
    folder: Path, model: Model, alpha: float | None, name: Path, pixels: Pixels, labels: np.ndarray
) -> None:
    palette = model.classes.palette if model.classes else voc_colors(model.config.classes)
    target = folder / name
    save_label_png(target.with_name(f"{target.name}.png"), labels, palette)
    if alpha is not None:
        picture = Image.fromarray(overlay(pixels[:, :], labels, palette, alpha=alpha))
        picture.save(target.with_name(f"{target.name}_overlay.jpg"), quality=92)
