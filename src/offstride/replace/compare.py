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


class Difference(NamedTuple):
    """Largest difference between two outputs, and whether all are rounding."""

    largest: float
    rounding: bool


def original_outputs(model: nn.Module, images: Tensor, coarse: bool) -> Outputs:
    """Of an original model; also with its scores interpolated, where it returns coarse ones."""
    output = model(images)
    tensors = dict(_tensors(output, "output"))
    return Outputs(type(output), tensors | ({"scores": interpolated(output.logits, images)} if coarse else {}))


def replaced_outputs(model: ReplacedModel, images: Tensor) -> Outputs:
    """Of a replaced model."""
    output = model(images)
    tensors = dict(_tensors(output, "output"))
    return Outputs(type(output), tensors | ({"scores": model.field(images).dense()} if model.coarse else {}))


def compare(expected: Outputs, actual: Outputs) -> Difference:
    """Raise a `ValueError` that says what differs unless names, types and shapes are the same; the difference of values
    otherwise.
    """
    if expected.kind is not actual.kind:
        raise ValueError(f"returns {expected.kind.__name__}, and {actual.kind.__name__} without its interpolation")
    shapes = [{name: tuple(tensor.shape) for name, tensor in each.tensors.items()} for each in (expected, actual)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"returns {shapes[0]}, and {shapes[1]} without its interpolation")
    differences = [_difference(tensor, actual.tensors[name]) for name, tensor in expected.tensors.items()]
    return Difference(max(each.largest for each in differences), all(each.rounding for each in differences))


def _difference(expected: Tensor, actual: Tensor) -> Difference:
    """Rounding is measured by the type of the numbers and by how much they vary: a large constant hides nothing."""
    expected, actual, eps = expected.double(), actual.double(), torch.finfo(expected.dtype).eps
    spread = (expected - expected.mean(tuple(range(2, expected.ndim)), keepdim=True)).abs().max()
    largest = (expected - actual).abs().max()
    allowed = 1e-4 * spread + 4 * eps * expected.abs().max()
    return Difference(float(largest), bool(largest <= allowed))


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
    """The model in evaluation mode and without gradients; each module as it was afterwards."""
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()
            yield
    finally:
        for module, training in modes.items():
            module.training = training
