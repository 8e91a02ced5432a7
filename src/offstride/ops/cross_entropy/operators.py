"""The fused losses as operators of torch: with shapes for `torch.compile`, and gradients for autograd.

Loss and gradients come from one pass; backward only scales them. Where gradients have to be differentiable again, they
are computed by the reference. `impl` names the module that does the work, or is "auto".

Offsets are None for bilinear upsampling; gradients that there are not are empty tensors. The other options follow
`weight` and `impl` in the order of `_OPTIONS`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from offstride.ops import native
from offstride.ops.cross_entropy import reference
from offstride.ops.grid import coordinate_dtype
from offstride.ops.implementation import serving
from offstride.ops.labels import is_valid

_serving = partial(serving, "offstride.ops.cross_entropy")
_OPTIONS = {"origin": "str", "label_smoothing": "float", "ignore_index": "SymInt"}
_TERMS = {"guided": "float?", "regression": "float?", "window": "SymInt", "ties": "str"}


@torch.library.custom_op("offstride::label_weight", mutates_args=())
def label_weight(labels: Tensor, weight: Tensor | None, classes: int, ignore_index: int) -> Tensor:
    """What the mean of a cross-entropy divides by: the number of valid pixels, or the sum of their class weights, 0-dim
    float32. The one place that looks at the values of labels.

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


def _operator(name: str, tensors: str, options: dict[str, str], returned: str) -> Callable[[Callable[..., Any]], Any]:
    """Decorator that registers a function of positional arguments under a name."""
    given = ", ".join(("Tensor? weight", "str impl", *(f"{kind} {option}" for option, kind in options.items())))
    schema = f"({tensors}, {given}) -> {returned}"
    return torch.library.custom_op(f"offstride::{name}", mutates_args=(), schema=schema)


@_operator(
    "upsampled_cross_entropy",
    "Tensor scores, Tensor? offsets, Tensor labels, Tensor divisors",
    {**_OPTIONS, **_TERMS, "gradient": "bool"},
    "(Tensor, Tensor, Tensor)",
)
def loss(scores, offsets, labels, divisors, weight, impl, *values):
    """Loss over its `(2,)` divisors, and on request its gradients to scores and offsets."""
    serve, options = _serving("loss", impl, scores, offsets), {"weight": weight, **_named(values[:-1])}
    total, *gradients = serve(scores, offsets, labels, divisors, **options, gradient=values[-1])
    return total, *_contiguous(gradients, scores)


@loss.register_fake
def _(scores, offsets, *rest):
    return scores.new_empty((), dtype=coordinate_dtype(scores.dtype)), *_gradients_like(scores, offsets, rest[-1])


def _keep_loss(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:5], *output[1:])
    ctx.values = inputs[6:-1]
    ctx.set_materialize_grads(False)  # no zeros for the gradients of gradients


def _loss_backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    *tensors, weight, to_scores, to_offsets = ctx.saved_tensors
    if torch.is_grad_enabled():
        gradients = _again(reference.loss(*tensors, weight=weight, **_named(ctx.values)), tensors[:2], grad)
    else:
        gradients = _scaled(to_scores, grad), None if tensors[1] is None else _scaled(to_offsets, grad)
    return *gradients, *[None] * (5 + len(ctx.values))  # labels, divisors, weight, impl, options, gradient


loss.register_autograd(_loss_backward, setup_context=_keep_loss)


@_operator("upsampled_pixel_losses", "Tensor scores, Tensor? offsets, Tensor labels", _OPTIONS, "Tensor")
def pixels(scores, offsets, labels, weight, impl, *values):
    """`(B, H, W)` losses."""
    return _serving("pixels", impl, scores, offsets)(scores, offsets, labels, weight=weight, **_named(values))


@pixels.register_fake
def _(scores, offsets, labels, *rest):
    return scores.new_empty(labels.shape, dtype=coordinate_dtype(scores.dtype))


@_operator(
    "upsampled_pixel_losses_backward",
    "Tensor grad, Tensor scores, Tensor? offsets, Tensor labels",
    _OPTIONS,
    "(Tensor, Tensor)",
)
def pixels_backward(grad, scores, offsets, labels, weight, impl, *values):
    """Gradients of `sum(grad * losses)` to scores and offsets."""
    serve = _serving("pixels_backward", impl, scores, offsets)
    return _contiguous(serve(grad, scores, offsets, labels, weight=weight, **_named(values)), scores)


@pixels_backward.register_fake
def _(grad, scores, offsets, *rest):
    return _gradients_like(scores, offsets, True)


def _keep_pixels(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.rest = inputs[4:]


def _pixels_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    *tensors, weight = ctx.saved_tensors
    if torch.is_grad_enabled():
        gradients = _again(reference.pixels(*tensors, weight=weight, **_named(ctx.rest[1:])), tensors[:2], grad)
    else:
        to_scores, to_offsets = pixels_backward(grad, *tensors, weight, *ctx.rest)
        gradients = to_scores, None if tensors[1] is None else to_offsets
    return *gradients, *[None] * (2 + len(ctx.rest))  # labels, weight, impl, options


pixels.register_autograd(_pixels_backward, setup_context=_keep_pixels)


def _named(values: Sequence[Any]) -> dict[str, Any]:
    """The options of the pixel losses, and those of the terms where there are more."""
    return dict(zip((*_OPTIONS, *_TERMS), values, strict=False))


def _contiguous(gradients: Sequence[Tensor | None], scores: Tensor) -> tuple[Tensor, ...]:
    return tuple(scores.new_empty(0) if each is None else each.contiguous() for each in gradients)


def _gradients_like(scores: Tensor, offsets: Tensor | None, gradient: bool) -> tuple[Tensor, ...]:
    given = [each if gradient else None for each in (scores, offsets)]
    return tuple(scores.new_empty(0) if x is None else x.new_empty(x.shape) for x in given)


def _scaled(gradient: Tensor, grad: Tensor) -> Tensor:
    """The gradient times that of the loss, which mostly is 1: then without a second tensor."""
    if type(grad) is Tensor and grad.device.type == "cpu" and grad.item() == 1:  # no tensor that is only traced
        return gradient
    return grad.to(gradient.dtype) * gradient


def _again(loss: Tensor, inputs: Sequence[Tensor | None], grad: Tensor) -> list[Tensor | None]:
    """Gradients to the inputs that need one, which can be differentiated."""
    needed = [each for each in inputs if each is not None and each.requires_grad]
    gradients = iter(torch.autograd.grad(loss, needed, grad.to(loss), create_graph=True))
    return [None if each is None or not each.requires_grad else next(gradients) for each in inputs]
