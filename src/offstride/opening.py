"""Any model by a reference: a file or folder of ours, an exported file, or a name in another library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from offstride.data.catalog import ClassSet

if TYPE_CHECKING:  # each takes seconds to import, and most models need a part of them
    from offstride.export import ExportedModel
    from offstride.models import BaseSegmenter

LIBRARIES = ("torchvision", "transformers", "smp")
"""Prefixes of references to models of other libraries."""

EXPORTED = (".onnx", ".pt2")
"""Suffixes of exported files."""

KINDS = (
    "a model file (.safetensors), an exported one (.onnx, .pt2), torchvision:NAME[@WEIGHTS], "
    "transformers:NAME-or-folder, smp:NAME-or-folder or hub:OWNER/NAME"
)
"""What a reference may be, for people."""

Classes = ClassSet | Sequence[str] | str | Path
"""Classes, their names, or the file of a class list (.json, .yaml)."""


def open_model(
    reference: str | Path,
    *,
    classes: Classes | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    output_stride: int | None = None,
    device: torch.device | str = "cpu",
    example: Any = None,
) -> BaseSegmenter | ExportedModel:
    """Open a model of ours or of another library.

    Example:
        `open_model("torchvision:deeplabv3_resnet50").predict("street.jpg")`

    Args:
        reference: One of

            - a `.safetensors` file, of our models or of those of other libraries that were saved here;
            - an `.onnx` or `.pt2` file that `offstride export` wrote, or an `.onnx` file of others, from normalised
              images to class scores of any stride;
            - `torchvision:NAME`, `torchvision:NAME@WEIGHTS` or `torchvision:NAME@FILE`: a model of
              `torchvision.models.segmentation`, with its default weights, others, or those of a local file;
            - `transformers:NAME` and `smp:NAME`: a name on the Hugging Face Hub or a local folder;
            - `hub:OWNER/NAME`, or a folder in that layout: see `Segmenter.push_to_hub`.
        classes: Names of the classes. They replace those of a library; a file must have the same, or none.
        mean: Mean colour (red, green, blue) of images in 0 … 1, in place of the library's; with `std`. Files hold
            their own.
        std: Standard deviation, likewise.
        output_stride: Stride to run one of our own models at; by default that of its training.
        device: Device of the model.
        example: Images, or their shape `(B, 3, H, W)`, on which a model of another library is tried. By default sizes
            that suit it.

    Returns:
        The model, in evaluation mode. Models of other libraries end in a bilinear upsampler of ours and give the
        original's scores, which is checked; see `ForeignSegmenter.with_upsampler` for another one.

    Raises:
        ValueError: In one line, if there is no such model, it cannot be downloaded, its package is missing, it is not
            understood, or something that is missing in it is not given.
    """
    named = _class_set(classes)
    if (mean is None) != (std is None):
        raise ValueError("mean, std: expected both or neither")
    kind, name = _split(reference)
    if kind in LIBRARIES:
        if output_stride is not None:
            raise ValueError(f"output_stride: fixed in a model of {kind}, got {output_stride}")
        from offstride.replace.foreign import open_foreign

        return open_foreign(kind, name, classes=named, mean=mean, std=std, example=example).to(device)
    if kind == "exported":
        from offstride.export.runtime import load_exported

        if output_stride is not None:
            raise ValueError(f"output_stride: fixed in an exported file, got {output_stride} for {name}")
        return load_exported(name, device=device, classes=named, mean=mean, std=std)
    if mean is not None:
        raise ValueError(f"mean, std: expected for models of {', '.join(LIBRARIES)} alone; {reference} holds its own")
    return _checkpoint(weights_file(reference), named, output_stride).to(device)


def is_reference(text: str) -> bool:
    """Whether a text is of a form that `open_model` takes; the model need not exist."""
    try:
        return bool(_split(text))
    except ValueError:
        return False


def names_library(reference: str | Path) -> bool:
    """Whether a reference names a model of another library."""
    return _split(reference)[0] in LIBRARIES


def is_local(reference: str | Path) -> bool:
    """Whether a reference is the path of a file or folder, without the name of a library."""
    return _split(reference)[0] in ("file", "folder", "exported")


def files_of(reference: str | Path) -> list[Path]:
    """Local files that a model is read from, as far as its reference names them."""
    kind, name = _split(reference)
    path = Path(name.partition("@")[2] if kind == "torchvision" else name).expanduser()
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path] * path.is_file()


def weights_file(reference: str | Path) -> Path:
    """The `.safetensors` file of a model of ours: itself, in its folder, or downloaded from the Hub.

    Raises:
        ValueError: If there is none.
    """
    kind, name = _split(reference)
    if kind == "file":
        return Path(name)
    from offstride.models.hub import find_weights

    return find_weights(name, revision=None, token=None, cache_dir=None)


def network_of(model: BaseSegmenter | ExportedModel) -> BaseSegmenter:
    """The network whose layers can be counted: that of an exported file is built again, with random weights."""
    from offstride.models import BaseSegmenter, ModelConfig, create_model
    from offstride.replace.foreign import unfilled

    if isinstance(model, BaseSegmenter):
        return model
    return create_model(model.config) if isinstance(model.config, ModelConfig) else unfilled(model.config)


def _split(reference: str | Path) -> tuple[str, str]:
    """Kind and name: a library, `"hub"`, `"folder"`, `"exported"` or `"file"`."""
    text = str(reference)
    prefix, colon, name = text.partition(":")
    if colon and prefix in (*LIBRARIES, "hub"):
        if not name:
            raise ValueError(f"model: expected a name behind {prefix}:")
        return prefix, name
    path = Path(text)
    if path.suffix in EXPORTED:
        return "exported", text
    if path.suffix == ".safetensors":
        return "file", text
    if path.is_dir():
        return "folder", text
    raise ValueError(f"model: expected {KINDS}, got {text!r}")


def _class_set(classes: Classes | None) -> ClassSet | None:
    if classes is None or isinstance(classes, ClassSet):
        return classes
    if isinstance(classes, str | Path):
        return ClassSet.from_file(classes)
    return ClassSet(tuple(classes))


def _checkpoint(path: Path, classes: ClassSet | None, output_stride: int | None) -> BaseSegmenter:
    """A model of ours, or of another library that was saved as a file of ours."""
    from offstride.models import Segmenter
    from offstride.models.checkpoint import holds_foreign, read_checkpoint
    from offstride.replace.foreign import build_foreign

    if not holds_foreign(path):
        model = Segmenter.load(path, classes=classes, output_stride=output_stride)
        model.classes = model.classes or classes
        return model
    if output_stride is not None:
        raise ValueError(f"output_stride: fixed in models of other libraries, got {output_stride} for {path}")
    checkpoint = read_checkpoint(path)
    try:
        return build_foreign(checkpoint, classes)
    except ValueError as error:
        raise ValueError(f"checkpoint {path}: {error}") from error
