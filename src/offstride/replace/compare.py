"""Comparison of the outputs of two models, whatever types they return."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from offstride.replace.replaced import ReplacedModel
from offstride.replace.surgery import interpolated


class Outputs(NamedTuple):
    """The output of a model: its type, and all floating-point tensors in it by their names."""

    kind: type
    tensors: dict[str, Tensor]


class OutputDifference(NamedTuple):
    """Largest difference between two outputs, and whether all are rounding."""

    largest: float
    rounding: bool


def outputs(model: nn.Module, images: Tensor, coarse: bool) -> Outputs:
    """Of an original or a replaced model; one that returns coarse scores also has `scores` at the size of the image."""
    output = model(images)
    tensors = dict(_tensors(output, "output"))
    if coarse:
        replaced = isinstance(model, ReplacedModel)
        tensors["scores"] = model.field(images).dense() if replaced else interpolated(output.logits, images)
    return Outputs(type(output), tensors)


def compare(expected: Outputs, actual: Outputs) -> OutputDifference:
    """The difference of values.

    Raises:
        ValueError: If names, types or shapes differ.
    """
    if expected.kind is not actual.kind:
        raise ValueError(f"returns {expected.kind.__name__}, and {actual.kind.__name__} without its interpolation")
    shapes = [{name: tuple(tensor.shape) for name, tensor in side.tensors.items()} for side in (expected, actual)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"returns {shapes[0]}, and {shapes[1]} without its interpolation")
    differences = [_difference(tensor, actual.tensors[name]) for name, tensor in expected.tensors.items()]
    return OutputDifference(max(one.largest for one in differences), all(one.rounding for one in differences))


def _difference(expected: Tensor, actual: Tensor) -> OutputDifference:
    """Rounding is relative to the precision of the type and to the spread of values: a large constant hides nothing."""
    expected, actual, eps = expected.double(), actual.double(), torch.finfo(expected.dtype).eps
    spread = (expected - expected.mean(tuple(range(2, expected.ndim)), keepdim=True)).abs().max()
    largest = (expected - actual).abs().max()
    allowed = 1e-4 * spread + 4 * eps * expected.abs().max()
    return OutputDifference(float(largest), bool(largest <= allowed))


def _tensors(output: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """All floating-point tensors of an output."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield name, output
        return
    inside = (
        output.items() if isinstance(output, Mapping) else enumerate(output) if isinstance(output, tuple | list) else ()
    )
    for key, value in inside:
        yield from _tensors(value, f"{name}[{key!r}]")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode and without gradients; afterwards each module gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()
            yield
    finally:
        for module, training in modes.items():
            module.training = training
