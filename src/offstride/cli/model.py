"""The options by which commands take a model, and the model that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from offstride.cli.console import pick_device
from offstride.cli.loading import loading
from offstride.opening import EXPORTED, KINDS, Classes

if TYPE_CHECKING:
    from offstride.export import ExportedModel
    from offstride.models import BaseSegmenter


def add_model(parser: ArgumentParser, name: str = "model", **options: Any) -> None:
    """Add the model, and what can be given where it is missing in one."""
    parser.add_argument(name, type=str, help=KINDS, **options)
    add_missing(parser)


def add_missing(
    parser: ArgumentParser, classes: str = "names of the classes, with commas between them, or a class list (.yaml)"
) -> None:
    """Add what can be given where it is missing in a model, with the help text of `--classes`."""
    parser.add_argument("--classes", type=str | None, help=classes)
    for name, text in (("mean", "mean colour"), ("std", "standard deviation of colours")):
        parser.add_argument(
            f"--{name}",
            type=float,
            nargs=3,
            metavar=("R", "G", "B"),
            help=f"{text} in 0 … 1, if it is not known",
        )


def missing_of(values: Namespace) -> dict[str, Any]:
    """Arguments of `open_model` from the options of `add_missing`."""
    return {"classes": class_names(values.classes), "mean": values.mean, "std": values.std}


def class_names(text: str | None) -> Classes | None:
    """The file of a class list, or the names in a text."""
    if text is None or Path(text).suffix in (".yaml", ".yml", ".json"):
        return text
    return [name.strip() for name in text.split(",")]


def model_of(values: Namespace, reference: str, *, device: str = "cpu") -> BaseSegmenter | ExportedModel:
    """The model of a reference, with the options of `add_missing` and `--output-stride` where the command has it."""
    exported = Path(reference).suffix in EXPORTED
    place = "cpu" if exported and device == "auto" else pick_device(device)
    with loading():
        from offstride.opening import open_model

        return open_model(reference, **missing_of(values), output_stride=values.get("output_stride"), device=place)


def network_of_model(values: Namespace, reference: str, purpose: str, *, device: str = "cpu") -> BaseSegmenter:
    """The same, for a command that needs the layers of a model.

    Raises:
        ValueError: If the reference is an exported file.
    """
    if Path(reference).suffix in EXPORTED:
        raise ValueError(f"model: expected one with layers {purpose}, got the exported file {reference}")
    model: Any = model_of(values, reference, device=device)
    return model
