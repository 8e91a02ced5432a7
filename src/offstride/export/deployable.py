"""The module that becomes a graph: a model with normalisation and argmax.

Shapes: B batch, C classes, H×W image.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from offstride.models import BaseSegmenter
from offstride.ops.labels import label_dtype
from offstride.upsamplers.render import render

Input = Literal["normalised", "image", "image-nchw"]
"""What a file reads: `(B, 3, H, W)` float32, normalised by the mean and deviation of the model; or RGB pixels that it
normalises itself, in 0 … 255, `(B, H, W, 3)` or `(B, 3, H, W)` uint8."""

Output = Literal["labels", "scores"]
"""What a file returns: `(B, H, W)` classes, uint8 up to 256 of them and int64 above; or `(B, C, H, W)` float32 scores
before any softmax."""


class Deployable(nn.Module):
    """Normalisation, model and argmax in one module.

    Args:
        model: In evaluation mode.
        input: What is read.
        output: What is returned.
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, model: BaseSegmenter, input: Input, output: Output) -> None:
        super().__init__()
        self.model, self.input, self.output = model, input, output
        mean, std = (torch.tensor(values)[:, None, None] for values in (model.mean, model.std))
        self.register_buffer("factor", 1 / (255 * std))
        self.register_buffer("shift", mean / std)

    def forward(self, images: Tensor) -> Tensor:
        """Labels or scores of images."""
        scores = render(self.model.field(self._normalised(images)))
        if self.output == "scores":
            return scores
        return scores.argmax(1).to(label_dtype(scores.shape[1]))

    def _normalised(self, images: Tensor) -> Tensor:
        if self.input == "normalised":
            return images
        if self.input == "image":
            images = images.permute(0, 3, 1, 2)
        return images.float() * self.factor - self.shift

    def example(self, batch: int, size: tuple[int, int]) -> Tensor:
        """Zero images of a size, in the form that is read."""
        H, W = size
        if self.input == "normalised":
            return torch.zeros(batch, 3, H, W)
        return torch.zeros((batch, H, W, 3) if self.input == "image" else (batch, 3, H, W), dtype=torch.uint8)
