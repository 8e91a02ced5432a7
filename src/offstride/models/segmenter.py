"""The model that Offstride trains and runs: backbone → head → classifier → upsampler.

Shapes: B batch, C classes, D channels of a feature, h×w coarse grid, H×W image.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import torch
from torch import Tensor, nn

from offstride.backbones import Backbone
from offstride.data.catalog import ClassSet
from offstride.features import Coarse, GuideLevels, Guides
from offstride.field import BilinearField, LogitField
from offstride.heads import Head
from offstride.models.base import BaseSegmenter, Decoded
from offstride.models.checkpoint import Checkpoint, check_classes, named_by_part, read_checkpoint
from offstride.models.config import ModelConfig
from offstride.models.hub import WEIGHTS, find_weights, read_scores, upload, write_folder
from offstride.models.parts import build_parts
from offstride.upsamplers import Upsampler

Scores = Mapping[str, Any] | str | Path | None
"""Figures of an evaluation, or the file that holds them."""


class Segmenter(BaseSegmenter):
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

    config: ModelConfig

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
    def in_channels(self) -> int:
        """Channels of images."""
        return self.backbone.in_channels

    @property
    def stride(self) -> int:
        """Stride of the coarse scores, in pixels."""
        return self.head.out_stride

    @property
    def level_strides(self) -> tuple[int, ...]:
        """Strides of the features of the backbone, in pixels."""
        return tuple(info.stride for info in self.backbone.features)

    def shortest_side(self) -> int:
        """See `BaseSegmenter.shortest_side`."""
        last, coarse = self.backbone.features[-1].stride, self.head.out_stride
        inside = [part.shortest_side(last, coarse) for part in self.head.modules() if isinstance(part, Upsampler)]
        return max(2 * last, self.upsampler.shortest_side(coarse), *inside)

    def field(self, images: Tensor) -> LogitField:
        """See `BaseSegmenter.field`."""
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
        guides = Guides(images, GuideLevels(images, coarse.levels, self.backbone.features))
        return self.upsampler(coarse.scores, coarse.features, (H, W), guides)

    def decode(self, images: Tensor, closed: Collection[int] = ()) -> Decoded:
        """See `BaseSegmenter.decode`."""
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

    def part_of(self, name: str) -> str:
        """Part of a module, a parameter or a buffer, by its name: one of those of `freeze_except`.

        With a fusion, which holds the head as its `context`, `"head"` is that head and `"fusion"` the rest.
        """
        return named_by_part(f"{name}.", self.config).partition(".")[0]

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
        checkpoint = _own(read_checkpoint(path), path)
        try:
            if not parts or not set(parts) <= {"backbone", "head", "fusion"}:
                check_classes(checkpoint.classes, checkpoint.config.classes, self.classes)
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
        checkpoint = _own(read_checkpoint(path), path)
        config = checkpoint.config if output_stride is None else replace(checkpoint.config, output_stride=output_stride)
        try:
            check_classes(checkpoint.classes, config.classes, classes)
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


def _own(checkpoint: Checkpoint[Any], path: str | Path) -> Checkpoint[ModelConfig]:
    """A checkpoint of our own models; raises a `ValueError` for one of another library's."""
    if not isinstance(checkpoint.config, ModelConfig):
        raise ValueError(f"checkpoint {path}: holds a {checkpoint.config.name} model: offstride.open_model opens it")
    return checkpoint
