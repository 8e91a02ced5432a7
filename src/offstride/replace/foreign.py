"""A model of another library as commands, evaluation, training and export use one, and its file.

Shapes: B batch, C classes, H×W image.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offstride.data.catalog import ClassSet
from offstride.downloads import first_line
from offstride.field import CroppedField, LogitField
from offstride.models import BaseSegmenter, Decoded, ForeignConfig
from offstride.models.checkpoint import Checkpoint, check_classes
from offstride.models.config import triple
from offstride.ops.grid import same_grid
from offstride.replace.anatomy import Anatomy
from offstride.replace.choice import Sizes, choose
from offstride.replace.named import PACKAGES, library
from offstride.replace.named.opened import OpenedModel
from offstride.replace.replace import Example, assembled, dissected, measured
from offstride.replace.replaced import ReplacedModel
from offstride.upsamplers.base import to_image

_PARTS = {
    "backbone": ("backbone", "encoder"),
    "auxiliary": ("aux_classifier", "auxiliary_head", "classification_head"),
}
"""Parts by the names of the modules that libraries give them; transformers also name their backbone otherwise."""


class ForeignSegmenter(BaseSegmenter):
    """A network of torchvision, transformers or segmentation_models_pytorch that ends in one of our upsamplers.

    Args:
        replaced: The network with its upsampler.
        config: What both were built from.
        classes: Names and colours of the classes, if known.

    Raises:
        ValueError: If there are more or fewer names than classes.
    """

    parts = ("backbone", "head", "auxiliary", "upsampler")
    config: ForeignConfig

    def __init__(self, replaced: ReplacedModel, config: ForeignConfig, classes: ClassSet | None = None) -> None:
        super().__init__()
        if classes is not None and len(classes) != config.classes:
            raise ValueError(f"classes: expected {config.classes} as the model has, got {len(classes)}")
        self.replaced, self.config, self.classes = replaced, config, classes

    @property
    def upsampler(self) -> nn.Module:  # pyright: ignore[reportIncompatibleVariableOverride]
        """From coarse scores to a field over the image."""
        return self.replaced.upsampler

    @property
    def backbone(self) -> nn.Module:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The part of the network before its head."""
        return getattr(self.replaced.model, self._backbone)

    @property
    def _backbone(self) -> str:
        names = (*_PARTS["backbone"], str(getattr(self.replaced.model, "base_model_prefix", "")))
        found = [name for name in names if name and isinstance(getattr(self.replaced.model, name, None), nn.Module)]
        if not found:
            raise ValueError(f"backbone: {self.config.name} has none that is known")
        return found[0]

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean colour, in 0 … 1, that images must be normalised by."""
        return self.config.mean

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of the colours, likewise."""
        return self.config.std

    @property
    def in_channels(self) -> int:
        """Channels of images."""
        return 3

    def field(self, images: Tensor) -> LogitField:
        """See `BaseSegmenter.field`."""
        entering = self._entering(images)
        try:
            field = self.replaced.field(entering)
        except (ValueError, RuntimeError) as error:
            raise self._refusal(images, error) from error
        return _over(images, field, entering)

    def decode(self, images: Tensor, closed: Collection[int] = ()) -> Decoded:
        """See `BaseSegmenter.decode`; there are no gates to close."""
        if closed:
            raise ValueError(f"closed: expected no gates in a {self.config.name} model, got {(*closed,)}")
        entering = self._entering(images)
        try:
            decoded = self.replaced.decode(entering)
        except (ValueError, RuntimeError) as error:
            raise self._refusal(images, error) from error
        auxiliary = {name: _over(images, field, entering) for name, field in decoded.auxiliary.items()}
        return Decoded(_over(images, decoded.main, entering), auxiliary)

    def _entering(self, images: Tensor) -> Tensor:
        """Images as the network reads them: padded to sides that it takes, by repeating the last pixels."""
        if self.config.reversed:
            images = images.flip(1)
        multiple = self.config.multiple
        if multiple == 1:
            return images
        H, W = ((side + multiple - 1) // multiple * multiple - side for side in images.shape[2:])
        return F.pad(images, (0, W, 0, H), mode="replicate")

    def _refusal(self, images: Tensor, error: Exception) -> Exception:
        if isinstance(error, torch.OutOfMemoryError):
            return error
        H, W = images.shape[2:]
        return ValueError(
            f"images: the {self.config.name} model does not take {H}×{W} pixels ({first_line(error)}); if it was made "
            "for one size only, predict in windows of it (--sliding H W)"
        )

    def shortest_side(self) -> int:
        """See `BaseSegmenter.shortest_side`: two pixels at stride 32, where the networks of these libraries end."""
        return max(64, self.replaced.upsampler.shortest_side(self.config.stride))

    def part_of(self, name: str) -> str:
        """Part of a module, a parameter or a buffer: `"backbone"`, `"auxiliary"`, `"upsampler"`, or else `"head"`."""
        first, _, rest = name.removeprefix("replaced.").partition(".")
        if first == "upsampler":
            return "upsampler"
        child = rest.partition(".")[0]
        if child == self._backbone:
            return "backbone"
        return "auxiliary" if child in _PARTS["auxiliary"] else "head"

    def with_upsampler(self, name: str, options: Mapping[str, Any] | None = None) -> Self:
        """The same model with another upsampler; all other modules are shared with this one.

        Args:
            name: One of `offstride.upsamplers.UPSAMPLERS`.
            options: Options of it. Defaults follow from the model, see `replace_upsampling`.

        Raises:
            ValueError: If there is no such upsampler, or it refuses the options.
        """
        config, old = self.config, self.replaced
        sizes = Sizes(config.stride, config.factor, self.in_channels)
        upsampler, settings = choose(name, options or {}, old.anatomy, sizes)
        replaced = type(old)(old.model, upsampler.to(self.device), old.anatomy, old.read.stride)
        replaced.training = old.training
        upsampler.train(old.training)
        result = type(self)(replaced, replace(config, upsampler=name, upsampler_options=settings), self.classes)
        result.training = self.training
        return result

    def stored_tensors(self) -> dict[str, Tensor]:
        """Weights of the network below `model`, with their original names, and of the upsampler below `upsampler`."""
        return self.replaced.state_dict()


def _over(images: Tensor, field: LogitField, entering: Tensor) -> LogitField:
    """The field over the images, from one of the images that entered the network."""
    field = to_image(field, (entering.shape[2], entering.shape[3]), "center")
    size = (images.shape[2], images.shape[3])
    return field if same_grid(field.shape[2:], size) else CroppedField(field, size)


def open_foreign(
    kind: str,
    name: str,
    *,
    classes: ClassSet | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    example: Example | None = None,
) -> ForeignSegmenter:
    """A model by its name in a library, with a bilinear upsampler: it equals the original, which is checked.

    Args:
        kind: One of `offstride.replace.named.PACKAGES`.
        name: See the module of that library.
        classes: Names of the classes, in place of the library's.
        mean: Mean colour in 0 … 1, in place of the library's; with `std`.
        std: Standard deviation, likewise.
        example: Images, or their shape `(B, 3, H, W)`, that the model is tried on.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: If it cannot be opened or is not understood, or normalisation is not known and not given.
    """
    opened: OpenedModel = library(kind).load(name)
    reference = f"{kind}:{name}"
    if opened.channels != 3:
        raise ValueError(f"{reference}: expected a model for RGB images, got one for {opened.channels} channels")
    mean, std = (opened.mean if mean is None else mean), (opened.std if std is None else std)
    if mean is None or std is None:
        raise ValueError(
            f"{reference}: its normalisation is not known, {opened.unknown}; give it (--mean 0.485 0.456 0.406 --std "
            "0.229 0.224 0.225 are those of ImageNet)"
        )
    anatomy, sizes = _measured(opened, example)
    if anatomy.classes < 2:
        raise ValueError(f"{reference}: expected a model of two classes or more, got {anatomy.classes}")
    upsampler, settings = choose("bilinear", {}, anatomy, sizes)
    config = ForeignConfig(
        library=kind,
        architecture=opened.architecture,
        classes=anatomy.classes,
        mean=triple("mean", list(mean)),
        std=triple("std", list(std)),
        stride=sizes.stride,
        factor=sizes.factor,
        multiple=opened.multiple,
        reversed=opened.reversed,
        upsampler_options=settings,
    )
    replaced = assembled(opened.model, upsampler.eval(), anatomy, sizes.stride)
    return ForeignSegmenter(replaced, config, classes or opened.classes).eval()


def _measured(opened: OpenedModel, example: Example | None) -> tuple[Anatomy, Sizes]:
    """Anatomy and sizes, from the given example or the first images of `sides` that the model takes."""
    examples = [(1, 3, side, side) for side in opened.sides] if example is None else [example]
    refusals = []
    for images in examples:
        try:
            return measured(opened.model, images)
        except ValueError as error:
            if not str(error).startswith("example:"):
                raise
            refusals.append(error)
    raise refusals[0]


def build_foreign(checkpoint: Checkpoint[ForeignConfig], classes: ClassSet | None = None) -> ForeignSegmenter:
    """The model of a file that `ForeignSegmenter.save` wrote, built by its library without a download.

    Args:
        checkpoint: Content of the file.
        classes: Classes that the model must have, by name and in this order; its names if it has none.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: If the library is missing, or the content does not fit together.
    """
    config = checkpoint.config
    check_classes(checkpoint.classes, config.classes, classes)
    model = unfilled(config)
    checkpoint.fill(model.replaced)
    model.classes = checkpoint.classes or classes
    return model


def unfilled(config: ForeignConfig) -> ForeignSegmenter:
    """The model of a configuration with random weights, in evaluation mode; errors as `build_foreign`."""
    if config.library not in PACKAGES:
        raise ValueError(f"library: expected one of {', '.join(PACKAGES)}, got {config.library!r}: update offstride")
    network = library(config.library).rebuild(config.architecture)
    anatomy, sizes = dissected(network), Sizes(config.stride, config.factor, 3)
    upsampler, _ = choose(config.upsampler, config.upsampler_options, anatomy, sizes)
    return ForeignSegmenter(assembled(network, upsampler, anatomy, sizes.stride), config).eval()
