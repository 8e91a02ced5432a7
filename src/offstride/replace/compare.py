"""Whether two models say the same, whatever they return it in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from offstride.replace.replaced import ReplacedModel
from offstride.replace.surgery import interpolated


class Outputs(NamedTuple):
    """What a model returns: the type of it, and all floating-point tensors in it by their names."""

    kind: type
    tensors: dict[str, Tensor]


class Difference(NamedTuple):
    """Largest difference between two outputs, and whether all are rounding."""

    largest: float
    rounding: bool


def original_outputs(model: nn.Module, images: Tensor, coarse: bool) -> Outputs:
    """Of an original model; with the interpolation of its owner where it leaves its scores coarse."""
    found = model(images)
    tensors = dict(_tensors(found, "output"))
    return Outputs(type(found), tensors | ({"scores": interpolated(found.logits, images)} if coarse else {}))


def replaced_outputs(model: ReplacedModel, images: Tensor) -> Outputs:
    """Of a replaced model, likewise."""
    found = model(images)
    tensors = dict(_tensors(found, "output"))
    return Outputs(type(found), tensors | ({"scores": model.field(images).dense()} if model.coarse else {}))


def compare(expected: Outputs, found: Outputs) -> Difference:
    """Raise a `ValueError` that says what differs unless names, types and shapes are the same; the difference of values
    otherwise.
    """
    if expected.kind is not found.kind:
        raise ValueError(f"returns {expected.kind.__name__}, and {found.kind.__name__} without its interpolation")
    shapes = [{name: tuple(tensor.shape) for name, tensor in each.tensors.items()} for each in (expected, found)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"returns {shapes[0]}, and {shapes[1]} without its interpolation")
    found_all = [_difference(tensor, found.tensors[name]) for name, tensor in expected.tensors.items()]
    return Difference(max(each.largest for each in found_all), all(each.rounding for each in found_all))


def _difference(expected: Tensor, found: Tensor) -> Difference:
    """Rounding is measured by the type of the numbers and by how much they vary: a large constant hides nothing."""
    expected, found, eps = expected.double(), found.double(), torch.finfo(expected.dtype).eps
    spread = (expected - expected.mean(tuple(range(2, expected.ndim)), keepdim=True)).abs().max()
    largest = (expected - found).abs().max()
    allowed = 1e-4 * spread + 4 * eps * expected.abs().max()
    return Difference(float(largest), bool(largest <= allowed))


def _tensors(found: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """All floating-point tensors of an output."""
    if isinstance(found, Tensor):
        if found.is_floating_point():
            yield name, found
        return
    inside = (
        found.items() if isinstance(found, Mapping) else enumerate(found) if isinstance(found, tuple | list) else ()
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
