"""Files of `torch.export`: torch's own operators only, with the description in an extra file."""

import io
import warnings
from pathlib import Path

import torch

from offstride.export.deployable import Input, Output
from offstride.export.files import write_output
from offstride.export.info import KEY, ExportInfo
from offstride.export.program import Dynamic, Exported, export_program
from offstride.models import Segmenter

ENTRY = f"{KEY}.json"
"""Name of the extra file."""


def export_torch(
    model: Segmenter,
    path: str | Path,
    *,
    size: tuple[int, int] = (512, 512),
    dynamic: Dynamic = "none",
    input: Input = "normalised",
    output: Output = "labels",
) -> ExportInfo:
    """Write a model as a program of `torch.export`, which runs without this library:
    `torch.export.load(path).module()`.

    Args:
        model: On the CPU; its mode is left as it is.
        path: File to write, by custom `.pt2`: whole, or not at all.
        size: (H, W) of images; where sizes are left open, only an example.
        dynamic: What is left open: `"all"`, `"batch"` or `"none"`.
        input: What the file reads, see `Input`.
        output: What the file gives, see `Output`.

    Returns:
        The description in the file.

    Raises:
        ValueError: If an argument is out of range, the model cannot be a graph for these sizes, or the file cannot be
            written.
    """
    exported = export_program(model, size=size, dynamic=dynamic, input=input, output=output)
    write_program(exported, Path(path))
    return exported.info


def write_program(exported: Exported, path: Path) -> None:
    """Write a graph that `export_program` made, see `export_torch`."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.export.save(exported.program, content, extra_files={ENTRY: exported.info.to_json()})
        except Exception as error:  # what its format cannot hold is said in many ways
            raise ValueError(f"model: torch cannot write its graph ({str(error).splitlines()[0]})") from error
    write_output(path, content.getvalue())
