"""`offstride export`: a checkpoint as a file for other runtimes."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from offstride.export import ExportInfo, export_onnx, export_torch
from offstride.export.onnx_file import DEFAULT_OPSET
from offstride.models import Segmenter

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2"}
"""Formats, and how their files are named."""


def main(program: str, arguments: list[str]) -> int:
    """Export a checkpoint, and say what the file takes and gives."""
    values = _parser(program).parse_args(arguments)
    path = _path(values)
    model = Segmenter.load(values.checkpoint, output_stride=values.output_stride)
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
    result = ArgumentParser(
        prog=program,
        description="Write a model as a file of standard operators that runs without Offstride.",
        exit_on_error=False,
    )
    result.add_argument("checkpoint", type=Path, help="model file (.safetensors)")
    result.add_argument("--format", type=str, default="onnx", help=f"one of {', '.join(FORMATS)}")
    result.add_argument("--output", type=Path, default=None, help="file to write; named like the checkpoint by default")
    result.add_argument("--size", type=int, nargs=2, default=[512, 512], metavar=("H", "W"), help="size of images")
    result.add_argument(
        "--dynamic",
        type=str | None,
        nargs="?",
        const="all",
        default=None,
        help="images of any size, any number at a time; with 'batch' the size is fixed",
    )
    result.add_argument(
        "--input",
        type=str,
        default="normalised",
        help="what the file reads: 'normalised' (B, 3, H, W) floats, or RGB pixels as uint8 that it normalises itself: "
        "'image' (B, H, W, 3), 'image-nchw' (B, 3, H, W)",
    )
    result.add_argument("--labels", action="store_true", help="give classes, (B, H, W); the default")
    result.add_argument("--scores", action="store_true", help="give scores before any softmax, (B, C, H, W)")
    result.add_argument("--opset", type=int | None, default=None, help=f"ONNX's operators, {DEFAULT_OPSET} by default")
    result.add_argument(
        "--output-stride", type=int | None, default=None, help="stride to run at, if not that of training"
    )
    return result


def _path(values: Namespace) -> Path:
    """The file to write, once the options fit together."""
    if values.format not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, got {values.format!r}")
    if values.labels and values.scores:
        raise ValueError("labels, scores: expected one of them")
    if values.opset is not None and values.format != "onnx":
        raise ValueError(f"opset: belongs to the format onnx, not to {values.format}")
    suffix = FORMATS[values.format]
    path = values.output or values.checkpoint.with_suffix(suffix)
    if path.suffix != suffix:
        raise ValueError(f"output: expected a file named {suffix} for {values.format}, got {path}")
    return path


def _described(info: ExportInfo) -> str:
    size = f"any size from {info.least}×{info.least}" if info.size is None else f"{info.size[0]}×{info.size[1]} pixels"
    number = "any number of images" if info.batch is None else "one image"
    return f"{info.input} → {info.output}, {number} of {size}"
