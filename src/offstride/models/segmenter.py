"""The model that Offstride trains and runs: backbone → head → classifier → upsampler.

Shapes: B batch, C classes, D channels of a feature, h×w coarse grid, H×W image.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import torch
from torch import Tensor, nn

from offstride.backbones import Backbone
from offstride.data.catalog import ClassSet
from offstride.data.sources import Picture, open_pixels
from offstride.features import Coarse, Guides
from offstride.field import BilinearField, LogitField
from offstride.heads import Head
from offstride.inference import InferenceProtocol, predict_pixels
from offstride.models.checkpoint import PARTS, named_by_part, read_checkpoint, write_checkpoint
from offstride.models.config import ModelConfig
from offstride.models.hub import WEIGHTS, find_weights, read_scores, upload, write_folder
from offstride.models.parts import build_parts
from offstride.models.roles import ParameterRole, parameter_roles
from offstride.upsamplers import Upsampler

Scores = Mapping[str, Any] | str | Path | None
"""Figures of an evaluation, or the file that holds them."""

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


class Segmenter(nn.Module):
    """Semantic segmentation of images of any size. `create_model` builds one from plain values.

    Args:
        backbone: Images to features.
        head: Features to the `(B, D, h, w)` map that is classified.
        classifier: 1×1 convolution of that map to class scores.
        upsampler: Scores, and the map that they came from, to a field over the image.
        auxiliary: Heads for additional losses: all features to coarse scores.
        config: Configuration from which the model can be rebuilt.
        classes: Names and colours of the classes, if known.

    Raises:
        ValueError: If there are more or fewer names than classes.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        classifier: nn.Module,
        upsampler: Upsampler,
        auxiliary: Mapping[str, nn.Module],
        config: ModelConfig,
        classes: ClassSet | None = None,
    ) -> None:
        super().__init__()
        if classes is not None and len(classes) != config.classes:
            raise ValueError(f"classes: expected {config.classes} as in the configuration, got {len(classes)}")
        self.backbone = backbone
        self.head = head
        self.classifier = classifier
        self.upsampler = upsampler
        self.auxiliary = nn.ModuleDict(auxiliary)
        self.config = config
        self.classes = classes

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean colour, in 0 … 1, that images must be normalised by."""
        return self.config.mean or self.backbone.mean

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of the colours, likewise."""
        return self.config.std or self.backbone.std

    @property
    def stride(self) -> int:
        """Stride of the coarse scores, in pixels."""
        return self.head.out_stride

    @property
    def level_strides(self) -> tuple[int, ...]:
        """Strides of the features of the backbone, in pixels."""
        return tuple(info.stride for info in self.backbone.features)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    def forward(self, images: Tensor) -> Tensor:
        """Class scores of every pixel: `(B, C, H, W)` from normalised `(B, 3, H, W)` images."""
        return self.field(images).dense()

    def field(self, images: Tensor) -> LogitField:
        """Class scores as a field, which gives labels and losses without the full-resolution tensor.

        Args:
            images: `(B, 3, H, W)`, normalised by `mean` and `std`.

        Returns:
            Field of shape `(B, C, H, W)`.

        Raises:
            ValueError: If the images are no such tensor.
        """
        return self.field_of(self.coarse(images), images)

    def coarse(self, images: Tensor) -> Coarse:
        """Everything before the upsampler: what stays the same while only the upsampler is trained.

        Args:
            images: As for `field`.

        Raises:
            ValueError: If the images are no such tensor.
        """
        features = self.backbone(images)
        return self._coarse(self.head(features), features)

    def field_of(self, coarse: Coarse, images: Tensor) -> LogitField:
        """The upsampler alone: `field(images)` from `coarse(images)`.

        Args:
            coarse: Maps of the images, or of a larger image that `images` are a part of.
            images: As for `field`.
        """
        H, W = images.shape[2:]
        return self.upsampler(coarse.scores, coarse.features, (H, W), Guides(images, coarse.levels))

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

    def decode(self, images: Tensor, closed: Collection[int] = ()) -> Decoded:
        """All outputs that losses use, those of auxiliary heads included.

        Args:
            images: As for `field`.
            closed: Levels, counted from the finest, whose gate is set to zero (GFF, Fig. 9b).

        Raises:
            ValueError: If the images are no such tensor, or there is no such gate.
        """
        features = self.backbone(images)
        decoded = self.head.decode(features, closed)
        main = self.field_of(self._coarse(decoded.map, features), images)
        return Decoded(main, self._auxiliary(features, images), decoded.scene, decoded.gates)

    def _coarse(self, decoded: Tensor, features: list[Tensor]) -> Coarse:
        return Coarse(self.classifier(decoded), decoded, features)

    def _auxiliary(self, features: list[Tensor], images: Tensor) -> dict[str, LogitField]:
        H, W = images.shape[2:]
        origin = self.config.upsampler_options.get("origin", "center")
        return {name: BilinearField(head(features), (H, W), origin) for name, head in self.auxiliary.items()}

    def parameter_roles(self) -> list[ParameterRole]:
        """The part and the kind of each parameter: for learning rates and weight decay."""
        return parameter_roles(self, self.backbone)

    def freeze_except(self, parts: Collection[str]) -> None:
        """Require gradients for the parameters of these parts only.

        Args:
            parts: Some of `backbone`, `head`, `fusion`, `classifier`, `upsampler` and `auxiliary`.

        Raises:
            ValueError: Naming parts that are unknown, or have no parameters in this model.
        """
        if unknown := [part for part in parts if part not in PARTS]:
            raise ValueError(f"train_parts: expected some of {', '.join(PARTS)}, got {', '.join(unknown)}")
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

    def part_of(self, name: str) -> str:
        """Part of a module, a parameter or a buffer, by its name: one of those of `freeze_except`.

        With a fusion, which holds the head as its `context`, `"head"` is that head and `"fusion"` the rest.
        """
        return named_by_part(f"{name}.", self.config).partition(".")[0]

    def save(self, path: str | Path) -> None:
        """Write weights, configuration and classes to one safetensors file, atomically.

        Raises:
            ValueError: Naming the path, if it cannot be written.
        """
        write_checkpoint(path, self.state_dict(), self.config, self.classes)

    def start_from(self, path: str | Path, parts: Collection[str] = ()) -> None:
        """Load weights of a model file; with the backbone also its normalisation of images.

        The file's model may have another output stride, and may differ in parts that are not loaded.

        Args:
            path: File that `save` wrote.
            parts: Parts to load, see `freeze_except`; all if empty. A head beside a fusion is still the `head`: GFF's
                models start from a PSPNet with `("backbone", "head", "auxiliary")`.

        Raises:
            ValueError: Naming the path and what does not fit: parts that are unknown, or without weights in either
                model; other classes, unless only backbone, head and fusion are loaded; tensors that are missing,
                unexpected or of another shape. The model is unchanged then.
        """
        checkpoint = read_checkpoint(path)
        try:
            if not parts or not set(parts) <= {"backbone", "head", "fusion"}:
                _check_classes(checkpoint.classes, checkpoint.config.classes, self.classes)
            if parts:
                checkpoint.fill_parts(self, self.config, parts)
            else:
                checkpoint.fill(self)
            if not parts or "backbone" in parts:
                self.config = replace(self.config, mean=checkpoint.config.mean, std=checkpoint.config.std)
        except ValueError as error:
            raise ValueError(f"checkpoint {path}: {error}") from error

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        classes: ClassSet | None = None,
        output_stride: int | None = None,
        map_location: torch.device | str = "cpu",
    ) -> Self:
        """Rebuild a model that `save` wrote; nothing in the file is executed.

        Args:
            path: File to read.
            classes: Classes that the model must have, by name and in this order.
            output_stride: Stride to run at; by default that of training (DeepLabv3 trains at 16 and evaluates at 8).
            map_location: Device of the model.

        Returns:
            The model, in evaluation mode.

        Raises:
            ValueError: Naming the path and the fault: no checkpoint of Offstride, other classes, weights that do not
                fit.
        """
        checkpoint = read_checkpoint(path)
        config = checkpoint.config if output_stride is None else replace(checkpoint.config, output_stride=output_stride)
        try:
            _check_classes(checkpoint.classes, config.classes, classes)
            model = cls(*build_parts(config), checkpoint.classes)
            checkpoint.fill(model)
        except ValueError as error:
            raise ValueError(f"checkpoint {path}: {error}") from error
        return model.to(map_location).eval()

    def save_pretrained(self, folder: str | Path, *, name: str | None = None, scores: Scores = None) -> None:
        """Write the model to a folder in the layout of the Hub, with a model card.

        Args:
            folder: Folder, created if needed.
            name: Name on the card; that of the folder by default.
            scores: Scores for the card's table: `Evaluation.to_dict()`, or the file of `offstride evaluate --json`. The
                entry `dataset` names the data set.

        Raises:
            ValueError: If scores cannot be read or files cannot be written.
        """
        folder, figures = Path(folder), read_scores(scores)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_folder(folder, self.config, self.classes, name or folder.resolve().name, figures)
        except OSError as error:
            raise ValueError(f"folder: {folder} cannot be written ({error})") from error
        self.save(folder / WEIGHTS)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        scores: Scores = None,
        private: bool = False,
        token: str | None = None,
        message: str = "Upload model",
    ) -> str:
        """Share the model on the Hugging Face Hub: weights, configuration and a model card.

        Args:
            repo_id: `OWNER/NAME`; the repository is created if needed.
            scores: See `save_pretrained`.
            private: Whether a new repository is private.
            token: Access token; by default that of the logged-in user.
            message: Commit message.

        Returns:
            Address of the repository.

        Raises:
            ValueError: If the Hub cannot be reached or refuses.
        """
        with TemporaryDirectory(prefix="offstride-") as folder:
            self.save_pretrained(folder, name=repo_id, scores=scores)
            return upload(Path(folder), repo_id, private=private, token=token, message=message)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
        classes: ClassSet | None = None,
        output_stride: int | None = None,
        map_location: torch.device | str = "cpu",
    ) -> Self:
        """Load a model that `push_to_hub` or `save_pretrained` wrote; nothing in it is executed.

        Args:
            name: Folder, or `OWNER/NAME` on the Hub.
            revision: Branch, tag or commit on the Hub.
            token: Access token of the Hub.
            cache_dir: Folder of downloads; by default that of the Hub's library.
            classes, output_stride, map_location: See `load`.

        Returns:
            The model, in evaluation mode.

        Raises:
            ValueError: If there is no such model, or naming its fault, see `load`.
        """
        path = find_weights(name, revision=revision, token=token, cache_dir=cache_dir)
        return cls.load(path, classes=classes, output_stride=output_stride, map_location=map_location)


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


def _check_classes(stored: ClassSet | None, count: int, expected: ClassSet | None) -> None:
    """Raise unless the model has the expected classes; without names, their number is compared."""
    if expected is None:
        return
    if stored is None:
        if count != len(expected):
            raise ValueError(f"classes: expected {len(expected)}, the model has {count}")
    elif stored.names != expected.names:
        raise ValueError(f"classes: expected {', '.join(expected.names)}; the model has {', '.join(stored.names)}")
