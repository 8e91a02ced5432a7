"""The fused losses as operators of torch: with shapes for `torch.compile`, and gradients for autograd.

Loss and gradients come from one pass; backward only scales them. Where gradients have to be differentiable again, they
are computed by the reference. `impl` names the module that does the work, or is "auto".

The operators of bilinear upsampling read scores, those of location-aware upsampling scores and offsets: `_Kind` defines
both. Their options follow the tensors in the order of `_OPTIONS`.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from offstride.ops import native
from offstride.ops.cross_entropy.options import NO_TERMS
from offstride.ops.grid import coordinate_dtype
from offstride.ops.implementation import choose
from offstride.ops.labels import is_valid

_PACKAGE = "offstride.ops.cross_entropy"
_OPTIONS = {"origin": "str", "label_smoothing": "float", "ignore_index": "SymInt"}
_TERMS = {"guided": "float?", "regression": "float?", "window": "SymInt", "ties": "str"}


@torch.library.custom_op("offstride::label_weight", mutates_args=())
def label_weight(labels: Tensor, weight: Tensor | None, classes: int, ignore_index: int) -> Tensor:
    """Number of valid pixels, or the sum of their class weights: 0-dim float32.

    Raises:
        ValueError: If a valid pixel holds no class (looked at on a CPU only; elsewhere the look would wait for the
            device).
    """
    if labels.device.type == "cpu" and labels.dtype in (torch.uint8, torch.int64) and native.library() is not None:
        given = None if weight is None else weight.detach().float().contiguous()
        count, wrong = native.count_labels(labels.contiguous(), classes, ignore_index, given)
        if wrong is not None:
            raise _no_class([wrong], classes, ignore_index)
        return torch.tensor(count, dtype=torch.float32)
    valid = is_valid(labels, ignore_index)
    if labels.device.type == "cpu":
        wrong = labels[valid & ((labels < 0) | (labels >= classes))]
        if len(wrong):
            raise _no_class(wrong.unique().tolist()[:5], classes, ignore_index)
    if weight is None:
        return valid.sum().float()
    inside = valid & (labels >= 0) & (labels < classes)
    return (weight[labels.where(inside, 0).long()] * inside).sum().float()


def _no_class(wrong: list[int], classes: int, ignore_index: int) -> ValueError:
    return ValueError(f"labels: expected classes 0 … {classes - 1} or {ignore_index} (ignored), got {wrong}")


@label_weight.register_fake
def _(labels, weight, classes, ignore_index):
    return labels.new_empty((), dtype=torch.float32)


class _Kind(NamedTuple):
    """A kind of upsampling.

    Attributes:
        inputs: Names of the tensors that get gradients.
        terms: Options of the loss that the losses of the pixels have not.
    """

    inputs: tuple[str, ...]
    terms: dict[str, str]

    def define_loss(self, name: str) -> Any:
        """Loss over a divisor, and its gradients to the inputs (empty unless asked for)."""
        count, options = len(self.inputs), {**self.terms, **_OPTIONS}

        def run(*arguments: Any) -> tuple[Tensor, ...]:
            tensors, (weight, impl, *values, gradient) = arguments[: count + 2], arguments[count + 2 :]
            loss, *gradients = self._loss(impl, tensors, weight, values, gradient=gradient)
            return loss, *(_returned(each, of) for each, of in zip(gradients, tensors[:count], strict=False))

        def fake(*arguments: Any) -> tuple[Tensor, ...]:
            loss = arguments[0].new_empty((), dtype=coordinate_dtype(arguments[0].dtype))
            return loss, *(_gradient_like(each, arguments[-1]) for each in arguments[:count])

        def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
            ctx.save_for_backward(*inputs[: count + 3], *output[1:])
            ctx.options = inputs[count + 4 : -1]
            ctx.set_materialize_grads(False)  # no zeros for the gradients of gradients

        def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
            (*tensors, weight), ready = ctx.saved_tensors[: count + 3], ctx.saved_tensors[count + 3 :]
            nothing = [None] * (5 + len(options))  # labels, divisor, weight, impl, options, gradient
            if not torch.is_grad_enabled():
                return *(_scaled(each, grad) for each in ready), *nothing
            loss = self._loss("reference", tensors, weight, ctx.options)
            return *_again(loss, tensors[:count], grad), *nothing

        schema = self._schema("labels", "divisors" if self.terms else "divisor", options=options, last="bool gradient")
        returned = ", ".join(["Tensor"] * (count + 1))
        operator = torch.library.custom_op(name, run, mutates_args=(), schema=f"({schema}) -> ({returned})")
        operator.register_fake(fake)
        operator.register_autograd(backward, setup_context=keep)
        return operator

    def define_pixels(self, name: str) -> Any:
        """`(B, H, W)` losses, and a second operator for the gradients of `sum(grad * losses)`."""
        count = len(self.inputs)

        def run(*arguments: Any) -> Tensor:
            return self._of_pixels("pixels", (), *arguments)

        def run_backward(grad: Tensor, *arguments: Any) -> Tensor | tuple[Tensor, ...]:
            gradients = self._of_pixels("pixels_backward", (grad,), *arguments)
            return gradients[0].contiguous() if count == 1 else tuple(each.contiguous() for each in gradients)

        def fake(*arguments: Any) -> Tensor:
            return arguments[0].new_empty(arguments[count].shape, dtype=coordinate_dtype(arguments[0].dtype))

        def fake_backward(grad: Tensor, *arguments: Any) -> Tensor | tuple[Tensor, ...]:
            gradients = tuple(_gradient_like(each, True) for each in arguments[:count])
            return gradients if count > 1 else gradients[0]

        def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
            ctx.save_for_backward(*inputs[: count + 2])
            ctx.rest = inputs[count + 2 :]

        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
            *tensors, weight = ctx.saved_tensors
            nothing = [None] * (3 + len(_OPTIONS))  # labels, weight, impl, options
            if not torch.is_grad_enabled():
                gradients = gradient_operator(grad, *tensors, weight, *ctx.rest)
                return *((gradients,) if count == 1 else gradients), *nothing
            losses = self._of_pixels("pixels", (), *tensors, weight, "reference", *ctx.rest[1:])
            return *_again(losses, tensors[:count], grad), *nothing

        schema, returned = self._schema("labels", options=_OPTIONS), ", ".join(["Tensor"] * count)
        operator = torch.library.custom_op(name, run, mutates_args=(), schema=f"({schema}) -> Tensor")
        operator.register_fake(fake)
        operator.register_autograd(backward, setup_context=keep)
        gradient_operator = torch.library.custom_op(
            f"{name}_backward", run_backward, mutates_args=(), schema=f"(Tensor grad, {schema}) -> ({returned})"
        )
        gradient_operator.register_fake(fake_backward)
        return operator

    def _loss(self, impl: str, tensors: Sequence[Tensor], weight: Tensor | None, values: Any, **gradient: bool) -> Any:
        """Call an implementation; without terms there is one divisor, which serves for both."""
        *placed, divisors = self._placed(tensors)
        options = {**NO_TERMS, **dict(zip({**self.terms, **_OPTIONS}, values, strict=True))}
        serve = _serving(impl, "loss", placed)
        return serve(*placed, divisors.expand(2), weight=weight, **options, **gradient)

    def _of_pixels(self, function: str, first: tuple[Tensor, ...], *arguments: Any) -> Any:
        """Call an implementation with the arguments of the operator."""
        count = len(self.inputs)
        placed, (weight, impl, *values) = self._placed(arguments[: count + 1]), arguments[count + 1 :]
        serve = _serving(impl, function, placed)
        return serve(*first, *placed, weight=weight, **dict(zip(_OPTIONS, values, strict=True)))

    def _placed(self, tensors: Sequence[Tensor]) -> Sequence[Any]:
        """The tensors as implementations take them, with None for offsets that there are not."""
        return tensors if len(self.inputs) > 1 else (tensors[0], None, *tensors[1:])

    def _schema(self, *tensors: str, options: dict[str, str], last: str = "") -> str:
        given = [f"Tensor {name}" for name in (*self.inputs, *tensors)]
        given += ["Tensor? weight", "str impl", *(f"{kind} {name}" for name, kind in options.items())]
        return ", ".join([*given, last] if last else given)


def _serving(impl: str, function: str, placed: Sequence[Any]) -> Callable[..., Any]:
    """The function that does the work; chosen when it is done, not when `torch.compile` traces it."""
    name = choose(impl, _PACKAGE, placed[0], placed[1])
    return getattr(importlib.import_module(f"{_PACKAGE}.{name}"), function)


def _gradient_like(tensor: Tensor, gradient: bool) -> Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format) if gradient else tensor.new_empty(0)


def _returned(gradient: Tensor | None, tensor: Tensor) -> Tensor:
    return tensor.new_empty(0) if gradient is None else gradient.contiguous()


def _scaled(gradient: Tensor, grad: Tensor) -> Tensor:
    """The gradient times that of the loss, which mostly is 1: then without a second tensor."""
    if type(grad) is Tensor and grad.device.type == "cpu" and grad.item() == 1:  # no tensor that is only traced
        return gradient
    return grad.to(gradient.dtype) * gradient


def _again(loss: Tensor, inputs: Sequence[Tensor], grad: Tensor) -> list[Tensor | None]:
    """Gradients that can be differentiated, of those that need one."""
    needed = [each for each in inputs if each.requires_grad]
    gradients = iter(torch.autograd.grad(loss, needed, grad.to(loss), create_graph=True))
    return [next(gradients) if each.requires_grad else None for each in inputs]


_BILINEAR = _Kind(("scores",), {})
_DISPLACED = _Kind(("scores", "offsets"), _TERMS)

bilinear = _BILINEAR.define_loss("offstride::bilinear_cross_entropy")
bilinear_pixels = _BILINEAR.define_pixels("offstride::bilinear_pixel_losses")
displaced = _DISPLACED.define_loss("offstride::located_cross_entropy")
displaced_pixels = _DISPLACED.define_pixels("offstride::located_pixel_losses")
