"""What commands, evaluation, training and export use of a model, whatever library built its network.

Shapes: B batch, C classes, H×W image.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from offstride.data.catalog import ClassSet
from offstride.data.sources import Picture, open_pixels
from offstride.field import LogitField
from offstride.inference import InferenceProtocol, predict_pixels
from offstride.models.checkpoint import PARTS, write_checkpoint
from offstride.models.roles import ParameterRole, parameter_roles

Prediction = Tensor | tuple[Tensor, Tensor]
"""Labels of an image, or labels and their probabilities."""


@dataclass(frozen=True)
class Decoded:
    """All outputs of a model for a batch of images, in either mode.

    Attributes:
        main: Class scores as a field of shape `(B, C, H, W)`.
        auxiliary: Those of the auxiliary heads, by the name of their backbone feature (`layer3`), with underscores for
            dots.
        scene: `(B, C)` scores for the presence of a class, if the head has them.
        gates: Gate maps, if the decoder has gates.
    """

    main: LogitField
    auxiliary: dict[str, LogitField] = field(default_factory=dict)
    scene: Tensor | None = None
    gates: list[Tensor] = field(default_factory=list)


class BaseSegmenter(nn.Module, ABC):
    """A model with an upsampler of ours at its end, from normalised images of any size to class scores.

    Attributes:
        parts: Names of the parts that can be frozen.
        backbone: Images to features.
        upsampler: From coarse scores to a field over the image.
        config: Configuration from which the model can be rebuilt, a `ModelConfig` or `ForeignConfig`.
        classes: Names and colours of the classes, if known.
    """

    parts: ClassVar[tuple[str, ...]] = PARTS
    backbone: Any
    upsampler: Any
    config: Any
    classes: ClassSet | None

    @property
    @abstractmethod
    def mean(self) -> tuple[float, float, float]:
        """Mean colour, in 0 … 1, that images must be normalised by."""

    @property
    @abstractmethod
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of the colours, likewise."""

    @property
    @abstractmethod
    def in_channels(self) -> int:
        """Channels of images."""

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    def forward(self, images: Tensor) -> Tensor:
        """Class scores of every pixel: `(B, C, H, W)` from normalised `(B, 3, H, W)` images."""
        return self.field(images).dense()

    @abstractmethod
    def field(self, images: Tensor) -> LogitField:
        """Class scores as a field, which gives labels and losses without the full-resolution tensor.

        Args:
            images: `(B, 3, H, W)`, normalised by `mean` and `std`.

        Returns:
            Field of shape `(B, C, H, W)`.

        Raises:
            ValueError: If the images are no such tensor.
        """

    @abstractmethod
    def decode(self, images: Tensor, closed: Collection[int] = ()) -> Decoded:
        """All outputs that losses use, those of auxiliary heads included.

        Args:
            images: As for `field`.
            closed: Levels, counted from the finest, whose gate is set to zero (GFF, Fig. 9b).

        Raises:
            ValueError: If the images are no such tensor, or there is no such gate.
        """

    @abstractmethod
    def shortest_side(self) -> int:
        """Shortest side of an image, in pixels, for which a graph with open sizes is right: every feature has two
        pixels or more, and all upsamplers take the same steps as on larger images.
        """

    def predict(
        self,
        image: Picture | Sequence[Picture],
        *,
        confidence: bool = False,
        sliding: tuple[int, int] | None = None,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        overlap: float = 1 / 3,
        base: int | None = None,
    ) -> Prediction | list[Prediction]:
        """Label images of any size: normalises the pixels and keeps no gradients.

        Gives what `offstride predict` writes. Runs in evaluation mode; afterwards each module is in its previous mode.

        Example:
            `labels = Segmenter.load("best.safetensors").predict("street.jpg")`

        Args:
            image: An image, or a list of them: a file, a Pillow image, a uint8 array `(H, W, 3)` or a uint8 tensor
                `(3, H, W)`, all RGB; arrays and tensors `(H, W)` are grey. An alpha channel is dropped; files and
                Pillow images are rotated as their EXIF data require.
            confidence: Return the probabilities of the labels, too.
            sliding: (h, w) in pixels: average over windows of this size. At the image's own size they are predicted one
                by one, so that scores of the whole image are never in memory.
            scales: Average over these factors of the image's size.
            flip: Average with the mirror image.
            overlap: Overlap of neighbouring windows as a fraction of their size.
            base: Longer side of the image at scale 1, in pixels; by default its own.

        Returns:
            `(H, W)` labels on the CPU, uint8 up to 256 classes and int64 above; with `confidence` a pair of them and
            `(H, W)` float probabilities in 0 … 1. For a list a list of these.

        Raises:
            ValueError: If an option is out of range (`window` is `sliding`), a list is empty, a file cannot be read, or
                an image is of another type or shape.
        """
        protocol = InferenceProtocol(scales, flip, sliding, overlap, base)
        images: Sequence[Any] = image if isinstance(image, list | tuple) else [image]
        if not images:
            raise ValueError("image: expected at least one, got an empty list")
        results: list[Prediction] = []
        with _evaluating(self):
            for picture in images:
                pixels = open_pixels(picture, in_windows=protocol.in_windows)
                labels, probabilities = predict_pixels(self, pixels, protocol, confidences=confidence)
                results.append(labels if probabilities is None else (labels, probabilities))
        return results if isinstance(image, list | tuple) else results[0]

    def parameter_roles(self) -> list[ParameterRole]:
        """The part and the kind of each parameter: for learning rates and weight decay."""
        return parameter_roles(self, self.backbone)

    def freeze_except(self, parts: Collection[str]) -> None:
        """Require gradients for the parameters of these parts only.

        Args:
            parts: Some of the attribute `parts`.

        Raises:
            ValueError: Naming parts that are unknown, or have no parameters in this model.
        """
        if unknown := [part for part in parts if part not in self.parts]:
            raise ValueError(f"train_parts: expected some of {', '.join(self.parts)}, got {', '.join(unknown)}")
        part_of = {name: self.part_of(name) for name, _ in self.named_parameters()}
        if empty := [part for part in parts if part not in part_of.values()]:
            raise ValueError(f"train_parts: the model has no weights in {', '.join(empty)}")
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(part_of[name] in parts)

    def train_only(self, parts: Collection[str]) -> None:
        """Put modules of these parts into training mode and all others into evaluation mode: no dropout there, fixed
        batch statistics. To be repeated after `train()`.
        """
        for name, module in self.named_modules():
            module.training = not name or self.part_of(name) in parts

    @abstractmethod
    def part_of(self, name: str) -> str:
        """Part of a module, a parameter or a buffer, by its name: one of `parts`."""

    def save(self, path: str | Path) -> None:
        """Write weights, configuration and classes to one safetensors file, atomically.

        Raises:
            ValueError: Naming the path, if it cannot be written.
        """
        write_checkpoint(path, self.stored_tensors(), self.config, self.classes)

    def stored_tensors(self) -> dict[str, Tensor]:
        """The tensors that `save` writes, by the names that they have in the file."""
        return self.state_dict()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards each module is in its previous mode, even if only some were in training."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
