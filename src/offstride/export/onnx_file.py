"""ONNX files: standard operators only, with the description in `metadata_props`."""

import re
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from offstride.export.deployable import Input, Output
from offstride.export.info import KEY, ExportInfo
from offstride.export.program import Dynamic, Exported, export_program, write_output
from offstride.models import BaseSegmenter

OLDEST_OPSET = 18
"""The first opset that torch writes for; `GridSample` came with 16."""

DEFAULT_OPSET = 20


def export_onnx(
    model: BaseSegmenter,
    path: str | Path,
    *,
    size: tuple[int, int] = (512, 512),
    dynamic: Dynamic = "none",
    input: Input = "normalised",
    output: Output = "labels",
    opset: int = DEFAULT_OPSET,
) -> ExportInfo:
    """Write a model as an ONNX file: input `images`, output `labels` or `scores`.

    Args:
        model: On the CPU; its mode is not changed.
        path: File to write; it is written atomically.
        size: (H, W) of images; only an example if sizes may vary.
        dynamic: Which axes may vary: `"all"`, `"batch"` or `"none"`.
        input: What the file reads, see `Input`.
        output: What the file returns, see `Output`.
        opset: Version of ONNX's operators, 18 or later.

    Returns:
        The description in the file.

    Raises:
        ValueError: If an argument is out of range, the model cannot be a graph for these sizes, ONNX is not installed
            or the file cannot be written.
    """
    _packages(opset)  # fails before the model runs
    exported = export_program(model, size=size, dynamic=dynamic, input=input, output=output)
    write_onnx(exported, Path(path), opset)
    return exported.info


def write_onnx(exported: Exported, path: Path, opset: int = DEFAULT_OPSET) -> None:
    """Write a graph that `export_program` made, see `export_onnx`."""
    onnx = _packages(opset)
    proto = _converted(exported, opset)
    onnx.helper.set_model_props(proto, {KEY: exported.info.to_json()})
    _check(proto, onnx)
    write_output(path, proto.SerializeToString())


def _packages(opset: int) -> Any:
    """The package onnx. Raises a `ValueError` if it or onnxscript is missing, or does not know the opset."""
    onnx = optional("onnx")
    optional("onnxscript")
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise ValueError(f"opset: expected {OLDEST_OPSET} to {newest}, got {opset}")
    return onnx


def optional(name: str) -> ModuleType:
    """A package of the extra `export`.

    Raises:
        ValueError: If it is not installed, with the command that does so.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(f"{name} is not installed, which ONNX files need: pip install 'offstride[export]'") from error


def _converted(exported: Exported, opset: int) -> Any:
    """The graph as a message of ONNX, without metadata of the conversion."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from inside the packages
        try:
            written = torch.onnx.export(
                exported.program,
                (),
                input_names=["images"],
                output_names=[exported.info.output],
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:
            cause = str(error.__cause__ or error).strip().splitlines()[0]
            raise ValueError(f"model: cannot be written in ONNX's operators ({cause})") from error
    assert written is not None  # without a path the message is returned
    proto = written.model_proto
    graph = proto.graph
    for item in (proto, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    graph.ClearField("value_info")  # runtimes infer the shapes in between
    graph.name = "offstride"
    _name_axes(graph, exported.info.input)
    return proto


def _name_axes(graph: Any, input: Input) -> None:
    """Name open axes batch, height and width, not by torch's symbols."""
    sides = ("batch", "height", "width", None) if input == "image" else ("batch", None, "height", "width")
    axes = zip(graph.input[0].type.tensor_type.shape.dim, sides, strict=True)
    names = {axis.dim_param: name for axis, name in axes if axis.dim_param and name}
    for value in (*graph.input, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), axis.dim_param)


def _check(proto: Any, onnx: Any) -> None:
    """Raise a `ValueError` unless ONNX's checker passes and all operators are its own."""
    domains = {node.domain for node in proto.graph.node} | {entry.domain for entry in proto.opset_import}
    if strangers := sorted(domains - {"", "ai.onnx"}):
        raise ValueError(f"model: expected ONNX's own operators alone, got some of {', '.join(strangers)}")
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ValueError(f"model: ONNX's checker refuses the graph ({str(error).splitlines()[0]})") from error
