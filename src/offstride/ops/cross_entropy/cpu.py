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
    task, (divisor, pull_divisor) = call.task, divisors.tolist()
    guided, regression = options["guided"], options["regression"]
    task.location = 2 if regression is not None else 1 if guided is not None else 0
    task.penalty, task.strength = guided or 0.0, regression or 0.0
    task.window, task.ties = options["window"], int(options["ties"] == "spare")
    task.scale, task.pull_scale = 1 / divisor, 1 / pull_divisor
    gradients = call.run(gradient=gradient)
    mean = task.loss / divisor + task.strength * task.pull / pull_divisor
    return scores.new_tensor(mean, dtype=torch.float32), *gradients


def pixels(scores: Tensor, offsets: Tensor | None, labels: Tensor, **options: Unpack[Options]) -> Tensor:
    """`(B, H, W)` losses."""
    losses = torch.empty(labels.shape)
    _Call(scores, offsets, labels, options, losses=losses).run()
    return losses


def pixels_backward(
    grad: Tensor, scores: Tensor, offsets: Tensor | None, labels: Tensor, **options: Unpack[Options]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of `sum(grad * losses)` to scores and offsets."""
    return _Call(scores, offsets, labels, options, pixel_weight=native.plain(grad)).run(gradient=True)


class _Call:
    """A task and the tensors that its pointers point into."""

    def __init__(
        self, scores: Tensor, offsets: Tensor | None, labels: Tensor, options: Options, **more: Tensor | None
    ) -> None:
        (B, C, h, w), (_, H, W) = scores.shape, labels.shape
        self.given = scores, offsets
        self.read = native.plain(scores), native.plain(offsets)
        self.task = native.Task(B=B, C=C, h=h, w=w, H=H, W=W, threads=torch.get_num_threads(), noise=_NOISE)
        self.tensors = {"labels": labels.detach().contiguous(), "weight": native.plain(options["weight"]), **more}
        self.tensors |= zip(("scores", "offsets"), self.read, strict=True)
        for name, tensor in self.tensors.items():
            setattr(self.task, name, native.pointer(tensor))
        self.task.label_bytes, self.task.ignore_index = labels.element_size(), options["ignore_index"]
        self.task.origin, self.task.smoothing = origin_code(options["origin"]), options["label_smoothing"]
        self.task.scale = self.task.pull_scale = 1

    def run(self, *, gradient: bool = False) -> tuple[Tensor | None, Tensor | None]:
        """Fill in the sums of the task; on request, the gradients to scores and offsets in their types."""
        gradients = [None if each is None or not gradient else torch.empty_like(each) for each in self.read]
        self.task.grad_scores, self.task.grad_offsets = map(native.pointer, gradients)
        native.cross_entropy(self.task)
        to_scores, to_offsets = (
            None if gradient is None or tensor is None else gradient.to(tensor.dtype)
            for gradient, tensor in zip(gradients, self.given, strict=True)
        )
        return to_scores, to_offsets
