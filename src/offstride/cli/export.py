"""`offstride export`: write a checkpoint as a file for other runtimes."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from offstride.cli.console import command_parser
from offstride.cli.model import add_model, network_of_model
from offstride.export import ExportInfo, export_onnx, export_torch
from offstride.export.onnx_file import DEFAULT_OPSET
from offstride.opening import is_local

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2"}
"""Formats and their file suffixes."""


def main(program: str, arguments: list[str]) -> int:
    """Export a model, and print what the file takes and returns."""
    values = _parser(program).parse_args(arguments)
    path = _path(values)
    model = network_of_model(values, values.model, "to export")
    options = {
        "size": (values.size[0], values.size[1]),
        "dynamic": values.dynamic or "none",
        "input": values.input,
        "output": "scores" if values.scores else "labels",
    }
    if values.format == "onnx":
        info = export_onnx(model, path, opset=values.opset or DEFAULT_OPSET, **options)
    else:
        info = export_torch(model, path, **options)
    print(f"{path}: {_described(info)}, {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(program, "Write a model as a file of standard operators that runs without Offstride.")
    add_model(result)
    result.add_argument("--format", type=str, default="onnx", help=f"one of {', '.join(FORMATS)}")
    result.add_argument("--output", type=Path, help="file to write (default: that of the model with a new suffix)")
    result.add_argument("--size", type=int, nargs=2, default=[512, 512], metavar=("H", "W"), help="size of images")
    result.add_argument(
        "--dynamic",
        type=str | None,
        nargs="?",
        const="all",
        help="accept any number of images of any size; with 'batch' of a fixed size",
    )
    result.add_argument(
        "--input",
        type=str,
        default="normalised",
        help="input: 'normalised' (B, 3, H, W) floats, or uint8 RGB pixels that the file normalises itself: "
        "'image' (B, H, W, 3), 'image-nchw' (B, 3, H, W)",
    )
    result.add_argument("--labels", action="store_true", help="return classes, (B, H, W); the default")
    result.add_argument("--scores", action="store_true", help="return scores before softmax, (B, C, H, W)")
    result.add_argument("--opset", type=int | None, help=f"version of ONNX's operators (default: {DEFAULT_OPSET})")
    result.add_argument("--output-stride", type=int | None, help="output stride (default: that of training)")
    return result


def _path(values: Namespace) -> Path:
    """The file to write.

    Raises:
        ValueError: If options exclude each other.
    """
    if values.format not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, got {values.format!r}")
    if values.labels and values.scores:
        raise ValueError("labels, scores: expected one of them")
    if values.opset is not None and values.format != "onnx":
        raise ValueError(f"opset: belongs to the format onnx, not to {values.format}")
    suffix = FORMATS[values.format]
    if values.output is None and not is_local(values.model):
        raise ValueError(f"output: expected the file to write for {values.model}")
    path = values.output or Path(values.model).with_suffix(suffix)
    if path.suffix != suffix:
        raise ValueError(f"output: expected a file named {suffix} for {values.format}, got {path}")
    return path


def _described(info: ExportInfo) -> str:
    size = f"any size from {info.least}×{info.least}" if info.size is None else f"{info.size[0]}×{info.size[1]} pixels"
    number = "any number of images" if info.batch is None else "one image"
    return f"{info.input} → {info.output}, {number} of {size}"
