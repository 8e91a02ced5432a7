"""Models as files for other runtimes: ONNX and `torch.export`, in standard operators only; and such files as models."""

from offstride.export.deployable import Input, Output
from offstride.export.info import ExportInfo
from offstride.export.onnx_file import export_onnx, write_onnx
from offstride.export.program import (
    Dynamic,
    Exported,
    export_program,
    export_torch,
    shortest_side,
    write_program,
)
from offstride.export.runtime import ExportedModel, load_exported
from offstride.upsamplers.render import render

__all__ = [
    "Dynamic",
    "ExportInfo",
    "Exported",
    "ExportedModel",
    "Input",
    "Output",
    "export_onnx",
    "export_program",
    "export_torch",
    "load_exported",
    "render",
    "shortest_side",
    "write_onnx",
    "write_program",
]
