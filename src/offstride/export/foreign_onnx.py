"""ONNX files of others: a network from normalised images to class scores of any stride."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from offstride.export.info import ExportInfo
from offstride.models import ForeignConfig
from offstride.models.config import triple

TRIED = 256
"""Side of the image that a file with open sizes is tried on."""


def foreign_info(
    session: Any,
    path: Path,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> ExportInfo:
    """The description that such a file does not hold, found by running it once on a grey image.

    Args:
        session: Of ONNX Runtime.
        path: The file.
        mean: Mean colour in 0 … 1 that it expects images to be normalised by.
        std: Standard deviation, likewise.

    Raises:
        ValueError: If normalisation is not given, or the file is no network from `(B, 3, H, W)` float32 images to
            `(B, C, h, w)` scores.
    """
    if mean is None or std is None:
        raise ValueError(
            "mean, std: expected, since Offstride did not write this file (--mean R G B --std R G B), got none"
        )
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = [length if isinstance(length, int) else None for length in inputs[0].shape] if len(inputs) == 1 else []
    if len(shape) != 4 or shape[1] not in (3, None) or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{it.name} {it.type} {it.shape}" for it in inputs)
        raise ValueError(f"expected one input of (B, 3, H, W) float32 images, got {found}")
    batch, _, H, W = shape
    tried = np.zeros((batch or 1, 3, H or TRIED, W or TRIED), np.float32)
    try:
        scores = session.run([outputs[0].name], {inputs[0].name: tried})[0]
    except Exception as error:  # its errors have no common class
        raise ValueError(f"ONNX Runtime failed ({' '.join(str(error).split())[:200]})") from error
    if scores.ndim != 4 or scores.dtype != np.float32 or scores.shape[2] > tried.shape[2]:
        raise ValueError(f"expected (B, C, h, w) float32 scores first, got {outputs[0].name} {list(scores.shape)}")
    stride = max(1, round(tried.shape[2] / scores.shape[2]))
    config = ForeignConfig(
        library="onnx",
        architecture={"class": path.name},
        classes=scores.shape[1],
        mean=triple("mean", mean),
        std=triple("std", std),
        stride=stride,
        factor=stride,
    )
    size = (H, W) if H and W else None
    return ExportInfo(config, None, "normalised", "scores", size, 1, batch)
