"""Costs of a model: parameters, multiply-adds, memory of activations; counted from shapes alone.

Convention: `macs` are multiply-adds of convolutions and matrix products, as LaU and DeepLabv3 quote them; `flops` are
twice that, as DUpsampling quotes. Normalisation, activations, pooling and bilinear interpolation are not counted.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from offstride.field import BilinearField, CroppedField, LogitField, SubpixelField
from offstride.heads import DUpsamplingDecoder
from offstride.models.base import BaseSegmenter
from offstride.models.segmenter import Segmenter

Model = TypeVar("Model", bound=BaseSegmenter)


@dataclass(frozen=True)
class Complexity:
    """Costs of one image.

    Attributes:
        size: `(H, W)` of the image.
        parameters: Number of parameters.
        macs: Multiply-adds of the forward pass.
        activation_bytes: Memory that a training step keeps for its backward pass, in float32, without its loss.
    """

    size: tuple[int, int]
    parameters: int
    macs: int
    activation_bytes: int

    @property
    def flops(self) -> int:
        """Twice the multiply-adds."""
        return 2 * self.macs


def complexity(model: BaseSegmenter, size: tuple[int, int] = (512, 512), *, auxiliary: bool = False) -> Complexity:
    """Count the costs of a model on the meta device; the model is unchanged.

    Args:
        model: Any device; its mode does not matter.
        size: `(H, W)` of the image.
        auxiliary: Count auxiliary heads too, which only training needs.

    Raises:
        ValueError: If the size is not positive or the model does not take it.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size: expected a positive (H, W), got {size}")
    ghost = _ghost(model)
    image = torch.empty(2, model.in_channels, *size, device="meta")  # one image trains no pooled normalisation
    kept: dict[int, Tensor] = {}
    with FlopCounterMode(display=False) as counter, _kept_for_backward(ghost, kept):
        _run(ghost.train(), image, auxiliary)
    counted = (p for name, p in ghost.named_parameters() if auxiliary or model.part_of(name) != "auxiliary")
    return Complexity(
        size,
        sum(parameter.numel() for parameter in counted),
        counter.get_total_flops() // 2 // len(image),
        sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) // len(image),
    )


def decoder_flops(model: Segmenter, size: tuple[int, int]) -> int:
    """Operations of DUpsampling's decoder alone, as its Tables 2-4 count them: two for each multiply-add of low-level
    reduction, separable stacks and classifier or upsampler, and two for every score that DUpsampling gives (mean and
    temperature). ASPP is not part of it.

    Args:
        model: With a `DUpsamplingDecoder`.
        size: `(H, W)` of the image.

    Raises:
        ValueError: If the model has another head.
    """
    if not isinstance(model.head, DUpsamplingDecoder):
        raise ValueError(f"model: expected one with a DUpsamplingDecoder, got {type(model.head).__name__}")
    ghost = _ghost(model)
    head: DUpsamplingDecoder = ghost.head.eval()  # type: ignore[assignment]
    H, W = size
    maps = [
        torch.empty(1, info.channels, -(-H // info.stride), -(-W // info.stride), device="meta")
        for info in model.backbone.features
    ]
    values = torch.empty(1, head.aspp.out_channels, *maps[-1].shape[2:], device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        decoded = head.aggregate(values, [maps[index] for index in head.indices])
        field = ghost.upsampler(ghost.classifier(decoded), decoded, size)
        if isinstance(field, SubpixelField):
            field.dense()
    outputs = decoded.shape[2:].numel() * field.bias.numel() if isinstance(field, SubpixelField) else 0
    return counter.get_total_flops() + 2 * outputs


def _run(model: BaseSegmenter, image: Tensor, auxiliary: bool) -> None:
    """The forward pass. Fields are not rendered, except those whose rendering is a product of matrices; what follows
    them bilinearly is not counted.
    """
    field = model.decode(image).main if auxiliary else model.field(image)
    field = field.source if isinstance(field, CroppedField) else field
    if isinstance(field, BilinearField) and isinstance(field.source, LogitField):
        field = field.source
    if field.multiplies:
        field.dense()


def _ghost(model: Model) -> Model:
    """The model without values."""
    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        ghost = tensor.detach().to("meta")
        memo[id(tensor)] = nn.Parameter(ghost, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else ghost
    return copy.deepcopy(model, memo)


@contextmanager
def _kept_for_backward(model: nn.Module, kept: dict[int, Tensor]) -> Iterator[None]:
    """Collect the tensors that autograd keeps, without the parameters."""
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in own:
            kept[key] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield
