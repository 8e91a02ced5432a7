"""Decompositions of operators that the file formats lack."""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._ops import OperatorBase
from torch.export import ExportedProgram
from torch.fx import Node

import offstride.upsamplers  # noqa: F401 - torchvision registers its operators

Lowered = Callable[..., Tensor]


def lowered(program: ExportedProgram) -> ExportedProgram:
    """The same program without operators of `LOWERED`, and without rounding up, which files of torch cannot hold."""
    if any(node.target in LOWERED for node in program.graph.nodes):
        program = program.run_decompositions({**LOWERED})
    for node in list(program.graph.nodes):
        if node.target is math.ceil:
            _divide_in_integers(node)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def _divide_in_integers(node: Node) -> None:
    """Write ⌈a / b⌉ of sizes (as in "same" padding) as -(-a // b)."""
    quotient = node.args[0]
    if not isinstance(quotient, Node) or quotient.target is not operator.truediv:
        return
    above, below = quotient.args

    def added(function: Callable[..., Any], *arguments: Any) -> Node:
        result = node.graph.call_function(function, arguments)
        result.meta["val"] = function(*(item.meta["val"] if isinstance(item, Node) else item for item in arguments))
        return result

    with node.graph.inserting_before(node):
        negative = added(operator.floordiv, added(operator.neg, above), below)
        node.replace_all_uses_with(added(operator.neg, negative))
    node.graph.erase_node(node)


def deformable_convolution(
    values: Tensor, weight: Tensor, offset: Tensor, mask: Tensor, bias: Tensor, *options: int
) -> Tensor:
    """`torchvision.ops.deform_conv2d`: all taps are read by one `grid_sample`, one grid below the other, then mixed.

    Shapes: values (B, C, h, w), weight (D, C / groups, K, L), offset (B, 2·G·K·L, R, S), mask (B, G·K·L, R, S).
    Options: strides, paddings and dilations, each vertical and horizontal; groups, offset groups G, whether to mask.
    """
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups, offset_groups, use_mask = options
    K, L = weight.shape[2:]
    B, C, h, w = values.shape
    G, (R, S) = offset_groups, offset.shape[2:]
    moved = offset.unflatten(1, (G, K * L, 2)).flatten(0, 1)  # (B·G, K·L, 2, R, S)
    rows = torch.arange(R, dtype=offset.dtype, device=offset.device) * stride_h - pad_h
    columns = torch.arange(S, dtype=offset.dtype, device=offset.device) * stride_w - pad_w
    taps = torch.arange(K * L, device=offset.device)
    down, right = (taps // L * dilation_h)[:, None, None], (taps % L * dilation_w)[:, None, None]
    y = moved[:, :, 0] + (rows[:, None] + down)
    x = moved[:, :, 1] + (columns + right)
    grid = torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), -1).flatten(1, 2)
    maps = values.unflatten(1, (G, C // G)).flatten(0, 1)
    read = F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    read = read.unflatten(0, (B, G)).unflatten(3, (K * L, R))  # (B, G, C / G, K·L, R, S)
    if use_mask:
        read = read * mask.unflatten(1, (G, 1, K * L))
    mixed = read.flatten(1, 3)
    return F.conv2d(mixed, weight.flatten(1)[:, :, None, None], bias, groups=groups)


def adaptive_mean(values: Tensor, size: Sequence[int]) -> Tensor:
    """`adaptive_avg_pool2d` as two products with matrices of means, whatever the size of the map."""
    if tuple(size) == (1, 1):
        return values.mean((2, 3), keepdim=True)
    rows, columns = (_means(fine, coarse, values) for fine, coarse in zip(values.shape[2:], size, strict=True))
    return rows @ values @ columns.T


def _means(fine: int, coarse: int, like: Tensor) -> Tensor:
    """`(coarse, fine)` weights of means over ⌊i·n/m⌋ … ⌈(i + 1)·n/m⌉ - 1, for n fine and m coarse pixels."""
    index = torch.arange(coarse, device=like.device)[:, None]
    start = index * fine // coarse
    stop = ((index + 1) * fine + coarse - 1) // coarse
    place = torch.arange(fine, device=like.device)
    inside = ((place >= start) & (place < stop)).to(like.dtype)
    return inside / (stop - start).to(like.dtype)


LOWERED: dict[OperatorBase, Lowered] = {
    torch.ops.torchvision.deform_conv2d.default: deformable_convolution,
    torch.ops.aten.adaptive_avg_pool2d.default: adaptive_mean,
    torch.ops.aten._adaptive_avg_pool2d.default: adaptive_mean,
}
