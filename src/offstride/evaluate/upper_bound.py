"""The direct upper bound of a decoder: labels are encoded on a coarse grid, decoded, and scored against themselves.

No network that predicts on that grid can hold more detail ("Decoders Matter for Semantic Segmentation", Tian et al.,
CVPR 2019, §4.1.1, trains a network to measure this: see `offstride.evaluate.learned_bound`; here nothing is trained).
For DUpsampling the code is the best of its length, in squared error; for bilinear upsampling the mean of a window's
labels is a natural code, not the best one.

Shapes: B batch, n classes, r window, C̃ channels of a code, h×w windows, H×W labels.

Convention: windows start at the first row and column. Pixels beyond the map and ignored pixels have no class and are
not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from offstride.data import LabelMaps, SampleSet
from offstride.field import BilinearField, LogitField, NearestField, SubpixelField, confusion
from offstride.ops.interpolate import nearest_rows
from offstride.ops.labels import IGNORE_INDEX, is_valid
from offstride.upsamplers import LabelBasis

if TYPE_CHECKING:
    from offstride.metrics import SegmentationScores

Interpolation = Literal["bilinear", "nearest"]
Coarse = Literal["average", "point"]
LabelDecoder = Callable[[Tensor], LogitField]
"""From `(B, H, W)` labels through a coarse grid to scores of whole windows: `(B, n, r·h, r·w)`."""
Key = TypeVar("Key", bound=Hashable)


def reconstruction_bound(
    dataset: SampleSet,
    decoder: LabelBasis | Interpolation,
    scale: int,
    *,
    channels: int | None = None,
    coarse: Coarse = "average",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SegmentationScores:
    """Scores of labels that are encoded on a grid of windows and decoded.

    Args:
        dataset: The labels.
        decoder: A basis, or how coarse labels are interpolated.
        scale: Window r.
        channels: Leading channels of the basis; all by default.
        coarse: What is interpolated: the shares of the classes in a window, or the class of its central pixel.
        progress: Called with the number of label maps done and their total.

    Raises:
        ValueError: If the basis is of other windows or classes.
    """
    chosen = label_decoder(decoder, scale, len(dataset.classes), channels=channels, coarse=coarse)
    return reconstruction_bounds(dataset, {"": chosen}, progress=progress)[""]


@torch.inference_mode()
def reconstruction_bounds(
    dataset: SampleSet,
    decoders: Mapping[Key, LabelDecoder],
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[Key, SegmentationScores]:
    """Scores for several decoders, see `label_decoder`, in one pass over the data, on a device."""
    from offstride.metrics import ConfusionMatrix  # torchmetrics takes seconds to import

    counts = {key: ConfusionMatrix(len(dataset.classes)).to(device) for key in decoders}
    maps = LabelMaps(dataset)
    for index in range(len(maps)):
        labels = maps[index][None].to(device)
        for key, decode in decoders.items():
            field = decode(labels)
            counts[key].add(confusion(field, _padded(labels, field.shape[2:])))
        progress(index + 1, len(maps))
    return {key: count.compute() for key, count in counts.items()}


def label_decoder(
    decoder: LabelBasis | Interpolation,
    scale: int,
    classes: int,
    *,
    channels: int | None = None,
    coarse: Coarse = "average",
) -> LabelDecoder:
    """From labels to scores through a grid of windows; arguments as for `reconstruction_bound`.

    Raises:
        ValueError: If an argument is out of its range, or the basis is of other windows or classes.
    """
    if scale < 1:
        raise ValueError(f"scale: expected a positive whole number, got {scale}")
    if isinstance(decoder, str):
        check_choice("decoder", decoder, get_args(Interpolation))
        check_choice("coarse", coarse, get_args(Coarse))
        return partial(_interpolated, scale=scale, classes=classes, interpolation=decoder, coarse=coarse)
    if (decoder.scale, decoder.classes) != (scale, classes):
        given = f"{decoder.scale} and {decoder.classes}"
        raise ValueError(f"decoder: expected windows of {scale} and {classes} classes, got {given}")
    return partial(_projected, basis=decoder if channels is None else decoder.first(channels))


def _projected(labels: Tensor, basis: LabelBasis) -> SubpixelField:
    codes, r = basis.encode(labels), basis.scale
    return basis.decode(codes, (r * codes.shape[2], r * codes.shape[3]))


def _interpolated(labels: Tensor, scale: int, classes: int, interpolation: Interpolation, coarse: Coarse) -> LogitField:
    h, w = (-(-length // scale) for length in labels.shape[1:])
    whole = _padded(labels, (scale * h, scale * w))
    if coarse == "average":
        scores = class_shares(whole, scale, classes)
    else:
        scores = one_hot(nearest_rows(whole, (h, w), (0, h), origin="center"), classes)
    field = BilinearField if interpolation == "bilinear" else NearestField
    return field(scores, (scale * h, scale * w))


def _padded(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Labels with ignored pixels at the bottom and the right."""
    return F.pad(labels, (0, size[1] - labels.shape[2], 0, size[0] - labels.shape[1]), value=IGNORE_INDEX)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """`(B, n, H, W)` float32 from `(B, H, W)` labels; ignored pixels are of no class."""
    valid = is_valid(labels, IGNORE_INDEX)
    result = torch.zeros(len(labels), classes, *labels.shape[1:], device=labels.device)
    return result.scatter_(1, labels.long().masked_fill(~valid, 0)[:, None], valid[:, None].float())


def class_shares(labels: Tensor, scale: int, classes: int) -> Tensor:
    """`(B, n, h, w)` shares of the classes among the valid pixels of each window of `(B, r·h, r·w)` labels; zeros where
    there are none.
    """
    B, H, W = labels.shape
    h, w = H // scale, W // scale
    windows = labels.view(B, h, scale, w, scale).transpose(2, 3).reshape(B, h, w, scale * scale).long()
    valid = is_valid(windows, IGNORE_INDEX)
    counts = torch.zeros(B, h, w, classes, device=labels.device)
    counts.scatter_add_(3, windows.masked_fill(~valid, 0), valid.float())
    return (counts / counts.sum(3, keepdim=True).clamp(min=1)).permute(0, 3, 1, 2)


def check_choice(argument: str, value: str, known: Sequence[str]) -> None:
    """Raise a `ValueError` that names the argument unless the value is known."""
    if value not in known:
        raise ValueError(f"{argument}: expected one of {', '.join(known)}, got {value!r}")
