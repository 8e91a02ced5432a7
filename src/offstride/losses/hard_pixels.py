"""Online hard example mining: train on the pixels that the model gets wrong."""

import math

import torch
from torch import Tensor

from offstride.field import LogitField
from offstride.ops.cross_entropy.labels import CheckedLabels, check_ignoring
from offstride.ops.labels import IGNORE_INDEX, is_valid
from offstride.ops.select import kth_largest


@torch.no_grad()
def hard_pixels(
    field: LogitField,
    labels: Tensor | CheckedLabels,
    *,
    share: float,
    probability: float | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Labels in which the easy pixels are ignored; any loss of them is then one of the hard pixels alone.

    Kept are the pixels of largest cross-entropy, as many as `share` of the valid ones and those that tie with the last
    of them; and all whose true class has less than `probability`. The losses are those of the fused forward pass and
    the selection is exact.

    Args:
        field: Scores of shape `(B, C, H, W)`.
        labels: `(B, H, W)` integer classes, or what `offstride.field.check_labels` made of them.
        share: Share of valid pixels that is kept at least, in (0, 1].
        probability: Probability of the true class below which a pixel is kept in any case.
        ignore_index: Label of pixels that do not count; checked labels know it.

    Returns:
        `(B, H, W)` labels, uint8 or int64.

    Raises:
        ValueError: If arguments do not fit.

    Source: Shrivastava et al., "Training Region-based Object Detectors with Online Hard Example Mining", CVPR 2016; for
    pixels as in Wu et al., "High-performance Semantic Segmentation Using Very Deep Fully Convolutional Networks", 2016.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a number in (0, 1], got {share}")
    if probability is not None and not 0 < probability <= 1:
        raise ValueError(f"probability: expected a number in (0, 1] or None, got {probability}")
    checked = check_ignoring(labels, field.shape, field.values.device, ignore_index)
    labels, ignore_index = checked.labels, checked.options["ignore_index"]
    losses = field.pixel_losses(checked.unweighted).float().clamp(min=0)
    valid = losses[is_valid(labels, ignore_index)]
    if not len(valid) or valid.isnan().any():
        return labels
    least = kth_largest(valid, max(1, round(share * len(valid))))
    if probability is not None:
        least = least.clamp(max=-math.log(probability))
    limits = torch.iinfo(labels.dtype)
    labels = labels if limits.min <= ignore_index <= limits.max else labels.long()
    return labels.masked_fill(losses < least, ignore_index)
