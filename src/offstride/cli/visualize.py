"""`offstride visualize`: pictures of how a model comes to its labels, and a page that shows them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jsonargparse import ArgumentParser

from offstride.cli.console import pick_device, progress_bar
from offstride.cli.decoding_page import ScenePainter
from offstride.cli.predict import find_images
from offstride.data import ClassSet, read_image, read_mask
from offstride.data.layout import LABEL_SUFFIXES, abridged
from offstride.evaluate.decoding import class_set, decode_image
from offstride.models import Segmenter
from offstride.visualize import DecodedScene, DecoderPage, write_decoder_page

CONFIDENCE = (
    "Confidence: the probability that the model gives to the class that it predicts, from 0 (dark) to 1 (bright)."
)
PAPERS = (
    "Location-aware upsampling: He et al., Location-aware Upsampling for Semantic Segmentation, arXiv 1911.05250. "
    "Gates: Li et al., Gated Fully Fusion for Semantic Segmentation, AAAI 2020."
)


def main(program: str, arguments: list[str]) -> int:
    """Draw; an image that cannot be used is named and left out, and the exit code is then 2."""
    values = _parser(program).parse_args(arguments)
    model = Segmenter.load(values.checkpoint).to(pick_device(values.device)).eval()
    images = find_images(values.images)
    labels = _find_labels(values.labels, images)
    scenes, failed = [], []
    with progress_bar("drawing") as progress:
        for index, (name, path) in enumerate(images.items()):

            def report(done: int, runs: int, index: int = index) -> None:
                """Count runs of the model, of which an image with gates takes several."""
                progress(index * runs + done, len(images) * runs)

            try:
                scenes.append(_draw(model, path, labels.get(name), (values.output, name.as_posix()), report))
            except (ValueError, OSError) as error:
                failed.append(str(error))
    if scenes:
        page = values.output / "index.html"
        write_decoder_page(page, _page(model, values.checkpoint, scenes))
        print(f"{len(scenes)} images drawn: {page}")
    if failed:
        raise ValueError(f"{len(failed)} of {len(images)} images could not be drawn: {'; '.join(failed[:3])}")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        description="Write pictures and a page (index.html) of what a model predicts and how: confidence; for "
        "location-aware upsampling the offsets and the labels before and after; for gated fusion the gates and the "
        "labels with each of them set to zero.",
        exit_on_error=False,
    )
    result.add_argument("checkpoint", type=Path, help="model file (.safetensors)")
    result.add_argument(
        "images", type=str, nargs="+", help="image files, folders or quoted patterns such as 'a/**/*.jpg'"
    )
    result.add_argument(
        "--labels", type=Path | None, default=None, help="label map of the image, or folder of those of the images"
    )
    result.add_argument("--output", type=Path, default=Path("pictures"), help="folder for the results")
    result.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1 …")
    return result


def _find_labels(source: Path | None, images: dict[Path, Path]) -> dict[Path, Path]:
    """Label file of every image: below the folder, at the place and with the stem of the image.

    Raises:
        ValueError: If there is none for an image.
    """
    if source is None:
        return {}
    if source.is_file():
        if len(images) > 1:
            raise ValueError(f"labels: expected a folder for {len(images)} images, got the file {source}")
        return dict.fromkeys(images, source)
    if not source.is_dir():
        raise ValueError(f"labels: expected a file or a folder, {source} does not exist")
    found = {}
    for name in images:
        candidates = (source / f"{name}{suffix}" for suffix in LABEL_SUFFIXES)
        found[name] = next((path for path in candidates if path.is_file()), None)
    if missing := [str(name) for name, path in found.items() if path is None]:
        raise ValueError(f"labels: nothing in {source} for {abridged(missing)}; looked for {', '.join(LABEL_SUFFIXES)}")
    return found


def _read_label(path: Path | None, classes: ClassSet) -> np.ndarray | None:
    if path is None:
        return None
    try:
        return classes.encode(read_mask(path))
    except ValueError as error:
        raise ValueError(f"labels {path}: {error}") from error


def _draw(
    model: Segmenter, image: Path, labels: Path | None, place: tuple[Path, str], report: Callable[[int, int], None]
) -> DecodedScene:
    """Pictures of one image."""
    pixels, label = read_image(image), _read_label(labels, class_set(model))
    if label is not None and label.shape != pixels.shape[:2]:
        raise ValueError(f"labels {labels}: expected the size of the image, {pixels.shape[:2]}, got {label.shape}")
    return ScenePainter(*place, decode_image(model, pixels, label, report)).scene()


def _page(model: Segmenter, checkpoint: Path, scenes: list[DecodedScene]) -> DecoderPage:
    config = model.config
    facts = {
        "Checkpoint": checkpoint.name,
        "Backbone": config.backbone,
        "Head": " + ".join(part for part in (config.head, config.fusion) if part),
        "Upsampling": config.upsampler,
        "Output stride": str(config.output_stride),
        "Classes": str(config.classes),
    }
    notes = (CONFIDENCE, PAPERS) if scenes[0].panels else (CONFIDENCE,)
    return DecoderPage(title="How the labels come about", facts=facts, scenes=scenes, notes=notes)
