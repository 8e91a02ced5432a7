"""From a model to a graph of standard operators: what both formats begin with."""

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch.export import Dim, ExportedProgram

from offstride.export.deployable import Deployable, Input, Output
from offstride.export.info import ExportInfo
from offstride.export.lowering import lowered
from offstride.models import Segmenter
from offstride.upsamplers import Upsampler

Dynamic = Literal["all", "batch", "none"]
"""What is left open: the number of images and their size, the number alone, or nothing."""

LONGEST = 1 << 14
"""Longest side of an image, and largest batch, in a graph that leaves them open."""

STANDARD = frozenset({"aten", "prims", "prim", "_operator", "math", "sym_size"})
"""Namespaces of operators that come with torch."""


class Exported(NamedTuple):
    """A graph and its description."""

    program: ExportedProgram
    info: ExportInfo


def export_program(
    model: Segmenter,
    *,
    size: tuple[int, int] = (512, 512),
    dynamic: Dynamic = "none",
    input: Input = "normalised",
    output: Output = "labels",
) -> Exported:
    """Graph of a model in evaluation mode, made of torch's own operators.

    Args:
        model: On the CPU; its mode is left as it is.
        size: (H, W) of images; where sizes are left open, only an example.
        dynamic: What is left open.
        input: What the graph reads.
        output: What the graph gives.

    Raises:
        ValueError: If an argument is out of range, or the model cannot be a graph for these sizes.
    """
    _check(model, size, dynamic, input, output)
    least = shortest_side(model) if dynamic == "all" else 1
    if dynamic == "all":
        # an example that divides by no stride: nothing may be concluded from one that does
        size = (max(size[0], least) | 1, (max(size[1], least) | 1) + 2)
    with _in_evaluation(model):
        deployable = Deployable(model, input, output).eval()
        program = _traced(deployable, size, dynamic, least)
    if strangers := _strangers(program):
        raise ValueError(f"model: expected operators of torch alone, got {', '.join(strangers)}")
    for node in program.graph.nodes:  # where lines of source code were, on the machine that wrote the file
        node.meta.pop("stack_trace", None)
    fixed = None if dynamic == "all" else size
    info = ExportInfo.of(model, input, output, fixed, least, 1 if dynamic == "none" else None)
    return Exported(program, info)


def shortest_side(model: Segmenter) -> int:
    """Shortest side of an image, in pixels, that a graph with open sizes is right for: every feature has two pixels
    then, and all upsamplers take the steps that they take on larger images.
    """
    last, coarse = model.backbone.features[-1].stride, model.head.out_stride
    inside = [part.shortest_side(last, coarse) for part in model.head.modules() if isinstance(part, Upsampler)]
    return max(2 * last, model.upsampler.shortest_side(coarse), *inside)


def _check(model: Segmenter, size: tuple[int, int], dynamic: str, input: str, output: str) -> None:
    if len(size) != 2 or not all(1 <= side <= LONGEST for side in size):
        raise ValueError(f"size: expected (H, W) of 1 to {LONGEST} pixels, got {size}")
    kinds = {"dynamic": (dynamic, Dynamic), "input": (input, Input), "output": (output, Output)}
    for name, (value, kind) in kinds.items():
        if value not in get_args(kind):
            raise ValueError(f"{name}: expected one of {', '.join(get_args(kind))}, got {value!r}")
    device = next(model.parameters()).device
    if device.type != "cpu":
        raise ValueError(f"model: expected one on the CPU, got {device}")


@contextmanager
def _in_evaluation(model: Segmenter) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@torch.no_grad()
def _traced(deployable: Deployable, size: tuple[int, int], dynamic: Dynamic, least: int) -> ExportedProgram:
    example = deployable.example(1 if dynamic == "none" else 2, size)
    options: dict[str, Any] = {}
    if "prefer_deferred_runtime_asserts_over_guards" in signature(torch.export.export).parameters:
        options["prefer_deferred_runtime_asserts_over_guards"] = True  # beyond what its solver of ranges understands
    try:
        deployable(example)  # what the model itself refuses, it says in words
        program = torch.export.export(
            deployable, (example,), dynamic_shapes=_open(deployable, dynamic, least), strict=False, **options
        )
        return lowered(program)
    except ValueError:
        raise
    except Exception as error:  # torch has many ways to say no
        cause = str(error).strip().splitlines()[0]
        advice = "; export one size" if dynamic == "all" else ""
        raise ValueError(f"model: cannot be exported for {_words(size, dynamic)} ({cause}){advice}") from error


def _words(size: tuple[int, int], dynamic: Dynamic) -> str:
    return "images of any size" if dynamic == "all" else f"images of {size[0]}×{size[1]}"


def _open(deployable: Deployable, dynamic: Dynamic, least: int) -> tuple[dict[int, Dim]] | None:
    """What torch is told about the axes of the images."""
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
