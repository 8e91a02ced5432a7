"""Cross-entropy of upsampled scores by the C kernels: loss and gradients in one pass over the pixels.

Shapes: scores (B, C, h, w), offsets (B, 2, H, W) or None for bilinear upsampling, labels (B, H, W). See
docs/fused_loss.md for the algorithm.
"""

from typing import Unpack

import torch
from torch import Tensor

from offstride.ops import native
from offstride.ops.cross_entropy.options import DisplacedOptions, Options
from offstride.ops.grid import origin_code

_NOISE = 2**13 * torch.finfo(torch.float32).eps


def unusable(scores: Tensor, offsets: Tensor | None = None) -> str | None:
    """Why these tensors cannot be served, or None."""
    if scores.device.type != "cpu":
        return f"needs tensors on a CPU, got {scores.device.type}"
    if torch.promote_types(scores.dtype, scores.dtype if offsets is None else offsets.dtype) == torch.float64:
        return "computes in float32, got float64"
    if offsets is not None and offsets.shape[1] != 2:
        return f"needs one offset per pixel, got {offsets.shape[1] // 2} groups"
    return None if native.library() is not None else "was not compiled (no C compiler when Offstride was installed)"


def loss(
    scores: Tensor,
    offsets: Tensor | None,
    labels: Tensor,
    divisors: Tensor,
    *,
    gradient: bool,
    **options: Unpack[DisplacedOptions],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Mean loss, and its gradients to scores and offsets."""
    call = _Call(scores, offsets, labels, options)
    divisor, pull_divisor = divisors.tolist()
    guided, regression = options["guided"], options["regression"]
    call.task.location = 2 if regression is not None else 1 if guided is not None else 0
    call.task.penalty, call.task.strength = guided or 0.0, regression or 0.0
    call.task.window, call.task.ties = options["window"], int(options["ties"] == "spare")
    done = call.run(divisor=divisor, pull_divisor=pull_divisor, gradient=gradient)
    mean = done.loss / divisor + done.strength * done.pull / pull_divisor
    return scores.new_tensor(mean, dtype=torch.float32), *call.gradients


def pixels(scores: Tensor, offsets: Tensor | None, labels: Tensor, **options: Unpack[Options]) -> Tensor:
    """`(B, H, W)` losses."""
    call = _Call(scores, offsets, labels, options)
    losses = torch.empty(labels.shape)
    call.task.losses = native.pointer(losses)
    call.run()
    return losses


def pixels_backward(
    grad: Tensor, scores: Tensor, offsets: Tensor | None, labels: Tensor, **options: Unpack[Options]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of `sum(grad * losses)` to scores and offsets."""
    call = _Call(scores, offsets, labels, options)
    call.run(pixel_weight=grad, gradient=True)
    return call.gradients


class _Call:
    """A task and the tensors that its pointers point into."""

    def __init__(self, scores: Tensor, offsets: Tensor | None, labels: Tensor, options: Options) -> None:
        self.types = scores.dtype, None if offsets is None else offsets.dtype
        self.scores, self.offsets = native.plain(scores), native.plain(offsets)
        self.weight = native.plain(options["weight"])
        self.labels = labels.detach().contiguous()
        self.gradients: tuple[Tensor | None, Tensor | None] = (None, None)
        B, C, h, w = scores.shape
        self.task = native.Task(
            B=B, C=C, h=h, w=w, H=labels.shape[1], W=labels.shape[2], threads=torch.get_num_threads(), noise=_NOISE
        )
        for name in ("scores", "offsets", "labels", "weight"):
            setattr(self.task, name, native.pointer(getattr(self, name)))
        self.task.label_bytes, self.task.ignore_index = labels.element_size(), options["ignore_index"]
        self.task.origin, self.task.smoothing = origin_code(options["origin"]), options["label_smoothing"]

    def run(
        self,
        *,
        divisor: float = 1.0,
        pull_divisor: float = 1.0,
        pixel_weight: Tensor | None = None,
        gradient: bool = False,
    ) -> native.Task:
        """Fill in the sums and, if asked for, `gradients`."""
        pixel_weight = native.plain(pixel_weight)
        self.task.scale, self.task.pull_scale = 1 / divisor, 1 / pull_divisor
        self.task.pixel_weight = native.pointer(pixel_weight)
        gradients = [
            torch.empty_like(each) if gradient and each is not None else None for each in (self.scores, self.offsets)
        ]
        self.task.grad_scores, self.task.grad_offsets = (native.pointer(each) for each in gradients)
        native.cross_entropy(self.task)
        to_scores, to_offsets = (
            None if each is None else each.to(dtype) for each, dtype in zip(gradients, self.types, strict=True)
        )
        self.gradients = to_scores, to_offsets
        return self.task
