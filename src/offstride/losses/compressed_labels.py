"""Regression to compressed labels: "Decoders Matter for Semantic Segmentation: Data-Dependent Decoding Enables Flexible
Feature Aggregation" (DUpsampling), Tian et al., CVPR 2019, Eqs. 2 and 4.

Shapes: B batch, n classes, r window, C̃ channels of a code, h×w windows, H×W labels.

Convention: a window of labels is the vector v = (r, r, n), flattened in this order (row of the window, column, class),
one-hot per pixel. Ignored pixels and those beyond the map are of no class: n zeros.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.field import Across, divisor_of
from offstride.ops.cross_entropy.labels import CheckedLabels, check_ignoring
from offstride.ops.grid import coordinate_dtype
from offstride.ops.label_basis import project_windows, split_windows
from offstride.ops.labels import IGNORE_INDEX


def compressed_label_loss(
    codes: Tensor,
    labels: Tensor | CheckedLabels,
    weight: Tensor,
    mean: Tensor,
    *,
    ignore_index: int = IGNORE_INDEX,
    across: Across | None = None,
) -> Tensor:
    """Squared distance ‖F − Ỹ‖² between codes and compressed labels (Eq. 4): sum over the channels, mean over the
    windows.

    Windows without a single valid pixel do not count; in others, ignored pixels are of no class, as they are to the
    basis. With orthonormal columns the codes of a window have up to r² of squared length: that is where the loss
    starts, far above a cross-entropy.

    Args:
        codes: `(B, C̃, h, w)` what the network says in place of the compressed labels.
        labels: `(B, H, W)` integer classes, at most `(r·h, r·w)`, or what `offstride.field.check_labels` made of them.
        weight: `(r, r, n, C̃)` matrix W, whose transpose compresses; no gradient flows to it.
        mean: `(r, r, n)` mean window μ; no gradient either.
        ignore_index: Label of pixels that do not count; checked labels know it.
        across: Turns the number of this batch's windows into what the sum is divided by; see `offstride.field.Across`.

    Returns:
        Scalar, float32 or better; 0 with zero gradients where no window counts.

    Raises:
        ValueError: If shapes do not fit, or on a CPU the labels contain a value that is no class.
    """
    if weight.ndim != 4 or weight.shape[0] != weight.shape[1]:
        raise ValueError(f"weight: expected shape (r, r, n, C̃), got {tuple(weight.shape)}")
    if mean.shape != weight.shape[:3]:
        raise ValueError(f"mean: expected shape {tuple(weight.shape[:3])}, got {tuple(mean.shape)}")
    if codes.ndim != 4:
        raise ValueError(f"codes: expected shape (B, C̃, h, w), got {tuple(codes.shape)}")
    if codes.shape[1] != weight.shape[-1]:
        raise ValueError(f"codes: expected {weight.shape[-1]} channels as the weight has, got {codes.shape[1]}")
    codes = codes.to(coordinate_dtype(codes.dtype))
    shape = (len(codes), weight.shape[2], *labels.shape[-2:])
    windows = _windows(check_ignoring(labels, shape, codes.device, ignore_index), len(weight), codes.shape[2:])
    target = _compressed(windows, weight, mean).movedim(-1, 1).to(codes.dtype)
    counted = (windows < weight.shape[2]).any(-1)
    errors = (codes - target).square().sum(1).masked_fill(~counted, 0)
    return errors.sum() / divisor_of(counted.sum().to(errors.dtype), across)


def _windows(checked: CheckedLabels, r: int, grid: torch.Size) -> Tensor:
    """`(B, h, w, r·r)` labels by window; n where there is no class."""
    (B, n, H, W), (h, w) = checked.shape, grid
    if r * h < H or r * w < W:
        raise ValueError(f"labels: expected at most {(r * h, r * w)} pixels, windows of {r}; got {(B, H, W)}")
    windows = split_windows(checked.labels, scale=r, classes=n, ignore_index=checked.options["ignore_index"])
    return F.pad(windows, (0, 0, 0, w - windows.shape[2], 0, h - windows.shape[1]), value=n)


@torch.no_grad()
def _compressed(windows: Tensor, weight: Tensor, mean: Tensor) -> Tensor:
    """`(…, C̃)` codes P(v − μ) of `(…, r·r)` windows."""
    projected = project_windows(windows.flatten(0, -2), weight)
    return (projected - mean.flatten().to(weight) @ weight.flatten(0, 2)).view(*windows.shape[:-1], -1)
