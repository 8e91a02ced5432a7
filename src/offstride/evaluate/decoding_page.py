"""A page of how a model comes to its labels, image by image."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from offstride.data import ClassSet, read_image, read_mask
from offstride.data.layout import LABEL_SUFFIXES, abridged
from offstride.evaluate.decoding import DecodedModel, class_set, decode_image
from offstride.visualize import DecodedScene, DecoderPage, write_decoder_page
from offstride.visualize.decoding import ScenePainter

CONFIDENCE = (
    "Confidence: the probability that the model gives to the class that it predicts, from 0 (dark) to 1 (bright)."
)
PAPERS = (
    "Location-aware upsampling: He et al., Location-aware Upsampling for Semantic Segmentation, arXiv 1911.05250. "
    "Gates: Li et al., Gated Fully Fusion for Semantic Segmentation, AAAI 2020."
)


def write_decoding_page(
    path: Path,
    model: DecodedModel,
    name: str,
    images: Mapping[Path, Path],
    labels: Path | None,
    progress: Callable[[int, int], None],
) -> list[str]:
    """Draw images into folders beside the page, and write the page unless no image could be drawn.

    Args:
        path: File of the page.
        model: In evaluation mode.
        name: Of the model, for the page.
        images: Path of the results below the folder of the page, without suffix -> image file.
        labels: Label map of the only image, or the folder with those of all images.
        progress: Progress callback: `progress(done, total)`.

    Returns:
        Why images could not be drawn, one message for each.

    Raises:
        ValueError: If an image has no labels in the folder, or the page cannot be written.
    """
    label_files = _find_labels(labels, images)
    scenes, failures = [], []
    for index, (place, image) in enumerate(images.items()):

        def report(done: int, runs: int, index: int = index) -> None:
            """Count runs of the model, of which an image with gates takes several."""
            progress(index * runs + done, len(images) * runs)

        try:
            pixels = read_image(image)
            label = _read_label(label_files.get(place), class_set(model), pixels.shape[:2])
            decoding = decode_image(model, pixels, label, report)
            scenes.append(ScenePainter(path.parent, place.as_posix(), decoding).scene())
        except (ValueError, OSError) as error:
            failures.append(str(error))
    if scenes:
        write_decoder_page(path, _page(model, name, scenes))
    return failures


def _find_labels(source: Path | None, images: Mapping[Path, Path]) -> dict[Path, Path]:
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
    files = {}
    for name in images:
        candidates = (source / f"{name}{suffix}" for suffix in LABEL_SUFFIXES)
        files[name] = next((path for path in candidates if path.is_file()), None)
    if missing := [str(name) for name, path in files.items() if path is None]:
        raise ValueError(f"labels: nothing in {source} for {abridged(missing)}; looked for {', '.join(LABEL_SUFFIXES)}")
    return files


def _read_label(path: Path | None, classes: ClassSet, size: tuple[int, ...]) -> np.ndarray | None:
    if path is None:
        return None
    try:
        label = classes.encode(read_mask(path))
    except ValueError as error:
        raise ValueError(f"labels {path}: {error}") from error
    if label.shape != size:
        raise ValueError(f"labels {path}: expected the size of the image, {size}, got {label.shape}")
    return label


def _page(model: DecodedModel, name: str, scenes: list[DecodedScene]) -> DecoderPage:
    facts = {"Checkpoint": name, **model.config.facts()}
    notes = (CONFIDENCE, PAPERS) if scenes[0].panels else (CONFIDENCE,)
    return DecoderPage(title="How the labels come about", facts=facts, scenes=scenes, notes=notes)
