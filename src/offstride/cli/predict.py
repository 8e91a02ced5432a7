"""`offstride predict`: label maps and overlays for images, folders and patterns."""

from collections.abc import Iterator
from glob import glob, has_magic
from itertools import takewhile
from pathlib import Path

import torch
from jsonargparse import ArgumentParser
from PIL import Image

from offstride.cli.console import pick_device, progress_bar
from offstride.data import EvalTransform, Sample
from offstride.data.catalog import voc_colors
from offstride.data.decode import read_image
from offstride.data.layout import IMAGE_SUFFIXES
from offstride.evaluate import label_map
from offstride.models import Segmenter
from offstride.visualize import overlay, save_label_png


def main(program: str, arguments: list[str]) -> int:
    """Predict; an image that cannot be read is named and left out, and the exit code is then 2."""
    values = _parser(program).parse_args(arguments)
    model = Segmenter.load(values.checkpoint).to(pick_device(values.device)).eval()
    images = find_images(values.images)
    failed = []
    with progress_bar("predicting") as progress:
        for done, (name, path) in enumerate(images.items(), 1):
            try:
                predict_file(model, path, values.output / name, alpha=values.alpha)
            except (ValueError, OSError) as error:
                failed.append(str(error))
            progress(done, len(images))
    print(f"{len(images) - len(failed)} images labelled in {values.output}")
    if failed:
        raise ValueError(f"{len(failed)} of {len(images)} images could not be read: {'; '.join(failed[:3])}")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        description="Write NAME.png (class indices with a palette) and NAME_overlay.jpg for every image.",
        exit_on_error=False,
    )
    result.add_argument("checkpoint", type=Path, help="model file (.safetensors)")
    result.add_argument(
        "images", type=str, nargs="+", help="image files, folders or quoted patterns such as 'a/**/*.jpg'"
    )
    result.add_argument("--output", type=Path, default=Path("predictions"), help="folder for the results")
    result.add_argument("--alpha", type=float, default=0.55, help="opacity of the classes in overlays")
    result.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1 …")
    return result


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


def predict_file(model: Segmenter, path: Path, target: Path, *, alpha: float) -> None:
    """Label one image file."""
    pixels = read_image(path)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    sample = Sample(image, torch.zeros(pixels.shape[:2], dtype=torch.uint8), path.stem)
    tensor, _ = EvalTransform(model.mean, model.std)(sample)
    labels = label_map(model, tensor[None].to(next(model.parameters()).device))[0].cpu().numpy()
    palette = model.classes.palette if model.classes else voc_colors(model.config.classes)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_label_png(target.with_name(f"{target.name}.png"), labels, palette)
    picture = Image.fromarray(overlay(pixels, labels, palette, alpha=alpha))
    picture.save(target.with_name(f"{target.name}_overlay.jpg"), quality=92)
