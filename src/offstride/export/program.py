"""From a model to a graph of standard operators, as both formats need it, and files of `torch.export`: torch's own
operators only, with the description in an extra file.
"""

import io
import warnings
from inspect import signature
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch.export import Dim, ExportedProgram

from offstride.export.deployable import Deployable, Input, Output
from offstride.export.info import KEY, ExportInfo
from offstride.export.lowering import lowered
from offstride.files import write_bytes
from offstride.models import BaseSegmenter

Dynamic = Literal["all", "batch", "none"]
"""Which axes may vary: the number of images and their size, the number alone, or none."""

LONGEST = 1 << 14
"""Longest side of an image, and largest batch, in a graph that leaves them open."""

STANDARD = frozenset({"aten", "prims", "prim", "_operator", "math", "sym_size"})
"""Namespaces of operators that come with torch."""

ENTRY = f"{KEY}.json"
"""Name of the extra file in a file of `torch.export`."""


class Exported(NamedTuple):
    """A graph and its description."""

    program: ExportedProgram
    info: ExportInfo


def export_program(
    model: BaseSegmenter,
    *,
    size: tuple[int, int] = (512, 512),
    dynamic: Dynamic = "none",
    input: Input = "normalised",
    output: Output = "labels",
) -> Exported:
    """Graph of a model in evaluation mode, made of torch's own operators.

    Args:
        model: On the CPU; its mode is not changed.
        size: (H, W) of images; only an example if sizes may vary.
        dynamic: Which axes may vary, see `Dynamic`.
        input: What the graph reads.
        output: What the graph returns.

    Raises:
        ValueError: If an argument is out of range, or the model cannot be a graph for these sizes.
    """
    _check(model, size, dynamic, input, output)
    least = shortest_side(model) if dynamic == "all" else 1
    if dynamic == "all":
        # odd sizes divide by no stride, so that torch infers nothing from the example
        size = (max(size[0], least) | 1, (max(size[1], least) | 1) + 2)
    training = model.training
    try:
        program = _traced(Deployable(model, input, output).eval(), size, dynamic, least)
    finally:
        model.train(training)
    if strangers := _strangers(program):
        raise ValueError(f"model: expected operators of torch alone, got {', '.join(strangers)}")
    for node in program.graph.nodes:  # where lines of source code were, on the machine that wrote the file
        node.meta.pop("stack_trace", None)
    fixed = None if dynamic == "all" else size
    batch = 1 if dynamic == "none" else None
    return Exported(program, ExportInfo(model.config, model.classes, input, output, fixed, least, batch))


def shortest_side(model: BaseSegmenter) -> int:
    """See `BaseSegmenter.shortest_side`."""
    return model.shortest_side()


def _check(model: BaseSegmenter, size: tuple[int, int], dynamic: str, input: str, output: str) -> None:
    if len(size) != 2 or not all(1 <= side <= LONGEST for side in size):
        raise ValueError(f"size: expected (H, W) of 1 to {LONGEST} pixels, got {size}")
    kinds = {"dynamic": (dynamic, Dynamic), "input": (input, Input), "output": (output, Output)}
    for name, (value, kind) in kinds.items():
        if value not in get_args(kind):
            raise ValueError(f"{name}: expected one of {', '.join(get_args(kind))}, got {value!r}")
    device = next(model.parameters()).device
    if device.type != "cpu":
        raise ValueError(f"model: expected one on the CPU, got {device}")


@torch.no_grad()
def _traced(deployable: Deployable, size: tuple[int, int], dynamic: Dynamic, least: int) -> ExportedProgram:
    example = deployable.example(1 if dynamic == "none" else 2, size)
    options: dict[str, Any] = {}
    if "prefer_deferred_runtime_asserts_over_guards" in signature(torch.export.export).parameters:
        options["prefer_deferred_runtime_asserts_over_guards"] = True  # where its solver of ranges fails
    try:
        deployable(example)  # raises the model's own errors, which are clearer
        program = torch.export.export(
            deployable, (example,), dynamic_shapes=_open(deployable, dynamic, least), strict=False, **options
        )
        return lowered(program)
    except ValueError:
        raise
    except Exception as error:  # errors of torch have no common class
        cause = str(error).strip().splitlines()[0]
        advice = "; export one size" if dynamic == "all" else ""
        images = "any size" if dynamic == "all" else f"{size[0]}×{size[1]}"
        raise ValueError(f"model: cannot be exported for images of {images} ({cause}){advice}") from error


def _open(deployable: Deployable, dynamic: Dynamic, least: int) -> tuple[dict[int, Dim]] | None:
    """Ranges of the open axes of the images, for `torch.export`."""
    if dynamic == "none":
        return None
    batch = {0: Dim("batch", min=1, max=LONGEST)}
    if dynamic == "batch":
        return (batch,)
    first = 1 if deployable.input == "image" else 2
    sides = {first + axis: Dim(name, min=least, max=LONGEST) for axis, name in enumerate(("height", "width"))}
    return (batch | sides,)


def _strangers(program: ExportedProgram) -> list[str]:
    """Operators that do not come with torch."""
    operators = {node.target for node in program.graph.nodes if isinstance(node.target, torch._ops.OpOverload)}
    return sorted(str(target) for target in operators if target.namespace not in STANDARD)


def export_torch(
    model: BaseSegmenter,
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
        model: As for `export_onnx`, like all arguments but the path.
        path: File to write, by convention `.pt2`; it is written atomically.

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
        except Exception as error:  # errors of its format have no common class
            raise ValueError(f"model: torch cannot write its graph ({str(error).splitlines()[0]})") from error
    write_output(path, content.getvalue())


def write_output(path: Path, content: bytes) -> None:
    """Write a file atomically; missing folders are made.

    Raises:
        ValueError: Naming the path, if it cannot be written.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ValueError(f"output: {path} cannot be written ({error})") from error
