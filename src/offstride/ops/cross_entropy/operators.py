"""The fused losses as operators of torch: with shapes for `torch.compile`, and gradients for autograd.

Loss and gradients come from one pass; backward only scales them. Where gradients have to be differentiable again, they
are computed by the reference. `impl` names the module that does the work, or is "auto".
"""

import importlib
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from offstride.ops import native
from offstride.ops.cross_entropy import reference
from offstride.ops.grid import coordinate_dtype
from offstride.ops.implementation import choose
from offstride.ops.labels import is_valid

_PACKAGE = "offstride.ops.cross_entropy"


def _serving(impl: str, scores: Tensor, offsets: Tensor | None = None) -> ModuleType:
    """The module that does the work; chosen when it is done, not when `torch.compile` traces it."""
    return importlib.import_module(f"{_PACKAGE}.{choose(impl, _PACKAGE, scores, offsets)}")


def _options(origin: str, weight: Tensor | None, label_smoothing: float, ignore_index: int) -> dict[str, Any]:
    return {"origin": origin, "weight": weight, "label_smoothing": label_smoothing, "ignore_index": ignore_index}


def _terms(guided: float | None, regression: float | None, window: int, ties: str) -> dict[str, Any]:
    return {"guided": guided, "regression": regression, "window": window, "ties": ties}


def _loss_like(scores: Tensor) -> Tensor:
    return scores.new_empty((), dtype=coordinate_dtype(scores.dtype))


def _gradient_like(tensor: Tensor, gradient: bool) -> Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format) if gradient else tensor.new_empty(0)


def _returned(gradient: Tensor | None, tensor: Tensor) -> Tensor:
    return tensor.new_empty(0) if gradient is None else gradient.contiguous()


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


def _no_class(found: list[int], classes: int, ignore_index: int) -> ValueError:
    return ValueError(f"labels: expected classes 0 … {classes - 1} or {ignore_index} (ignored), got {found}")


@label_weight.register_fake
def _(labels, weight, classes, ignore_index):
    return labels.new_empty((), dtype=torch.float32)


# ---- bilinear


@torch.library.custom_op("offstride::bilinear_cross_entropy", mutates_args=())
def bilinear(
    scores: Tensor,
    labels: Tensor,
    divisor: Tensor,
    weight: Tensor | None,
    impl: str,
    origin: str,
    label_smoothing: float,
    ignore_index: int,
    gradient: bool,
) -> tuple[Tensor, Tensor]:
    """Loss, and its gradient to the scores (empty unless asked for)."""
    options = _options(origin, weight, label_smoothing, ignore_index)
    loss, to_scores = _serving(impl, scores).bilinear(scores, labels, divisor, gradient=gradient, **options)
    return loss, _returned(to_scores, scores)


@bilinear.register_fake
def _(scores, labels, divisor, weight, impl, origin, label_smoothing, ignore_index, gradient):
    return _loss_like(scores), _gradient_like(scores, gradient)


def _scaled(gradient: Tensor, grad: Tensor) -> Tensor:
    """The gradient times that of the loss, which mostly is 1: then without a second tensor."""
    if type(grad) is Tensor and grad.device.type == "cpu" and grad.item() == 1:  # no tensor that is only traced
        return gradient
    return grad.to(gradient.dtype) * gradient


def _keep_bilinear(ctx, inputs, output):
    scores, labels, divisor, weight, _, *ctx.rest, _ = inputs
    ctx.save_for_backward(scores, labels, divisor, weight, output[1])
    ctx.set_materialize_grads(False)  # no zeros for the gradients of gradients


def _bilinear_backward(ctx, grad, _):
    scores, labels, divisor, weight, to_scores = ctx.saved_tensors
    if not torch.is_grad_enabled():
        return _scaled(to_scores, grad), *[None] * 8
    origin, *rest = ctx.rest
    loss = reference.bilinear(scores, labels, divisor, **_options(origin, weight, *rest))
    return *torch.autograd.grad(loss, scores, grad.to(loss), create_graph=True), *[None] * 8


bilinear.register_autograd(_bilinear_backward, setup_context=_keep_bilinear)


@torch.library.custom_op("offstride::bilinear_pixel_losses", mutates_args=())
def bilinear_pixels(
    scores: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    impl: str,
    origin: str,
    label_smoothing: float,
    ignore_index: int,
) -> Tensor:
    """`(B, H, W)` losses."""
    options = _options(origin, weight, label_smoothing, ignore_index)
    return _serving(impl, scores).bilinear_pixels(scores, labels, **options)


@bilinear_pixels.register_fake
def _(scores, labels, weight, impl, origin, label_smoothing, ignore_index):
    return scores.new_empty(labels.shape, dtype=coordinate_dtype(scores.dtype))


@torch.library.custom_op("offstride::bilinear_pixel_losses_backward", mutates_args=())
def bilinear_pixels_backward(
    grad: Tensor,
    scores: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    impl: str,
    origin: str,
    label_smoothing: float,
    ignore_index: int,
) -> Tensor:
    """Gradient of `sum(grad * losses)` to the scores."""
    options = _options(origin, weight, label_smoothing, ignore_index)
    return _serving(impl, scores).bilinear_pixels_backward(grad, scores, labels, **options).contiguous()


@bilinear_pixels_backward.register_fake
def _(grad, scores, labels, weight, impl, origin, label_smoothing, ignore_index):
    return _gradient_like(scores, True)


def _keep_bilinear_pixels(ctx, inputs, output):
    scores, labels, weight, *ctx.rest = inputs
    ctx.save_for_backward(scores, labels, weight)


def _bilinear_pixels_backward(ctx, grad):
    scores, labels, weight = ctx.saved_tensors
    if not torch.is_grad_enabled():
        return bilinear_pixels_backward(grad, scores, labels, weight, *ctx.rest), *[None] * 6
    _, origin, *rest = ctx.rest
    losses = reference.bilinear_pixels(scores, labels, **_options(origin, weight, *rest))
    return *torch.autograd.grad(losses, scores, grad.to(losses), create_graph=True), *[None] * 6


bilinear_pixels.register_autograd(_bilinear_pixels_backward, setup_context=_keep_bilinear_pixels)


# ---- located


@torch.library.custom_op("offstride::located_cross_entropy", mutates_args=())
def located(
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    divisors: Tensor,
    weight: Tensor | None,
    impl: str,
    guided: float | None,
    regression: float | None,
    window: int,
    ties: str,
    origin: str,
    label_smoothing: float,
    ignore_index: int,
    gradient: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, and its gradients to scores and offsets (empty unless asked for)."""
    options = _options(origin, weight, label_smoothing, ignore_index)
    terms = _terms(guided, regression, window, ties)
    serve = _serving(impl, scores, offsets).located
    loss, to_scores, to_offsets = serve(scores, offsets, labels, divisors, gradient=gradient, **terms, **options)
    return loss, _returned(to_scores, scores), _returned(to_offsets, offsets)


@located.register_fake
def _(
    scores,
    offsets,
    labels,
    divisors,
    weight,
    impl,
    guided,
    regression,
    window,
    ties,
    origin,
    label_smoothing,
    ignore_index,
    gradient,
):
    return _loss_like(scores), _gradient_like(scores, gradient), _gradient_like(offsets, gradient)


def _keep_located(ctx, inputs, output):
    scores, offsets, labels, divisors, weight, _, *ctx.rest, _ = inputs
    ctx.save_for_backward(scores, offsets, labels, divisors, weight, *output[1:])
    ctx.set_materialize_grads(False)


def _located_backward(ctx, grad, *_):
    scores, offsets, labels, divisors, weight, *found = ctx.saved_tensors
    if not torch.is_grad_enabled():
        return *(_scaled(each, grad) for each in found), *[None] * 12
    guided, regression, window, ties, origin, *rest = ctx.rest
    terms = _terms(guided, regression, window, ties)
    loss = reference.located(scores, offsets, labels, divisors, **terms, **_options(origin, weight, *rest))
    return *_again(loss, scores, offsets, grad), *[None] * 12


def _again(loss: Tensor, scores: Tensor, offsets: Tensor, grad: Tensor) -> list[Tensor | None]:
    """Gradients that can be differentiated, of those that need one."""
    needed = [each for each in (scores, offsets) if each.requires_grad]
    found = iter(torch.autograd.grad(loss, needed, grad.to(loss), create_graph=True))
    return [next(found) if each.requires_grad else None for each in (scores, offsets)]


located.register_autograd(_located_backward, setup_context=_keep_located)


@torch.library.custom_op("offstride::located_pixel_losses", mutates_args=())
def located_pixels(
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    impl: str,
    origin: str,
    label_smoothing: float,
    ignore_index: int,
) -> Tensor:
    """`(B, H, W)` losses."""
    options = _options(origin, weight, label_smoothing, ignore_index)
    return _serving(impl, scores, offsets).located_pixels(scores, offsets, labels, **options)


@located_pixels.register_fake
def _(scores, offsets, labels, weight, impl, origin, label_smoothing, ignore_index):
    return scores.new_empty(labels.shape, dtype=coordinate_dtype(scores.dtype))


@torch.library.custom_op("offstride::located_pixel_losses_backward", mutates_args=())
def located_pixels_backward(
    grad: Tensor,
    scores: Tensor,
    offsets: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    impl: str,
    origin: str,
    label_smoothing: float,
    ignore_index: int,
) -> tuple[Tensor, Tensor]:
    """Gradients of `sum(grad * losses)` to scores and offsets."""
    options = _options(origin, weight, label_smoothing, ignore_index)
    found = _serving(impl, scores, offsets).located_pixels_backward(grad, scores, offsets, labels, **options)
    return found[0].contiguous(), found[1].contiguous()


@located_pixels_backward.register_fake
def _(grad, scores, offsets, labels, weight, impl, origin, label_smoothing, ignore_index):
    return _gradient_like(scores, True), _gradient_like(offsets, True)


def _keep_located_pixels(ctx, inputs, output):
    scores, offsets, labels, weight, *ctx.rest = inputs
    ctx.save_for_backward(scores, offsets, labels, weight)


def _located_pixels_backward(ctx, grad):
    scores, offsets, labels, weight = ctx.saved_tensors
    if not torch.is_grad_enabled():
        return *located_pixels_backward(grad, scores, offsets, labels, weight, *ctx.rest), *[None] * 6
    _, origin, *rest = ctx.rest
    losses = reference.located_pixels(scores, offsets, labels, **_options(origin, weight, *rest))
    return *_again(losses, scores, offsets, grad), *[None] * 6


located_pixels.register_autograd(_located_pixels_backward, setup_context=_keep_located_pixels)
