"""Checked labels: a label map is checked and counted once a step, and all losses of it share the result."""

from collections.abc import Sequence
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from offstride.ops.cross_entropy import operators
from offstride.ops.cross_entropy.options import CompleteOptions, CrossEntropyOptions, completed
from offstride.ops.labels import is_valid


class CheckedLabels(NamedTuple):
    """Labels that were checked, and how their cross-entropy is counted; see `check_targets`.

    Attributes:
        labels: `(B, H, W)` uint8 or int64.
        classes: Number C of classes.
        total: Number of valid pixels, or the sum of their class weights: 0-dim float32.
        options: How the cross-entropy is counted.
    """

    labels: Tensor
    classes: int
    total: Tensor
    options: CompleteOptions

    @property
    def shape(self) -> tuple[int, ...]:
        """`(B, C, H, W)` of scores that fit."""
        return self.labels.shape[0], self.classes, *self.labels.shape[1:]

    @property
    def pixels(self) -> Tensor:
        """Number of valid pixels, without class weights: 0-dim float32."""
        if self.options["weight"] is None:
            return self.total
        return is_valid(self.labels, self.options["ignore_index"]).sum().float()

    @property
    def unweighted(self) -> "CheckedLabels":
        """The same with one weight for all classes, and without smoothing."""
        options = completed(ignore_index=self.options["ignore_index"])
        return self._replace(total=self.pixels, options=options)

    def replaced(self, labels: Tensor) -> "CheckedLabels":
        """Another label map of the same classes and options, such as a resampled one: counted anew."""
        weight, ignore_index = self.options["weight"], self.options["ignore_index"]
        total = operators.label_weight(labels, weight, self.classes, ignore_index)
        return self._replace(labels=labels, total=total)


def check_targets(
    labels: Tensor | CheckedLabels,
    shape: Sequence[int],
    device: torch.device,
    **options: Unpack[CrossEntropyOptions],
) -> CheckedLabels:
    """Check labels and options against the `(B, C, H, W)` shape and the device of scores, and count valid pixels.
    Labels that were checked before are only compared with the shape.

    Raises:
        ValueError: If labels or options do not fit, or a valid pixel holds no class (looked at on a CPU only); if
            options are given beside checked labels, which have their own.
    """
    if isinstance(labels, CheckedLabels):
        if options:
            raise ValueError(f"options: expected none beside checked labels, which have theirs; got {sorted(options)}")
        if labels.shape != tuple(shape):
            raise ValueError(
                f"labels: expected checked ones for scores of {tuple(shape)}, got those for {labels.shape}"
            )
        return labels
    B, C, *size = shape
    labels, complete = check_map(labels, (B, *size), device), completed(**options)
    weight = complete["weight"]
    if weight is not None and (weight.shape != (C,) or weight.device != device):
        raise ValueError(
            f"weight: expected shape ({C},), one per class, on {device}; got {tuple(weight.shape)} on {weight.device}"
        )
    return CheckedLabels(labels, C, operators.label_weight(labels, weight, C, complete["ignore_index"]), complete)


def check_ignoring(
    labels: Tensor | CheckedLabels, shape: Sequence[int], device: torch.device, ignore_index: int
) -> CheckedLabels:
    """`check_targets` with this one option, which labels that were checked before do not need."""
    if isinstance(labels, CheckedLabels):
        return check_targets(labels, shape, device)
    return check_targets(labels, shape, device, ignore_index=ignore_index)


def check_map(labels: Tensor, shape: Sequence[int], device: torch.device) -> Tensor:
    """Labels as the implementations take them, uint8 or int64; their values are not looked at.

    Raises:
        ValueError: If they are no integer map of this `(B, H, W)` shape on this device.
    """
    if labels.ndim != 3 or labels.shape != tuple(shape) or 0 in labels.shape:
        expected = tuple(shape) if len(shape) == 3 else (shape[0], "H", "W")
        raise ValueError(f"labels: expected shape {expected}, got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected an integer type, got {labels.dtype}")
    if labels.device != device:
        raise ValueError(f"labels: expected device {device} as the scores, got {labels.device}")
    return labels if labels.dtype == torch.uint8 else labels.long()
