"""The part of a model that all upsamplers share: it runs once for each image.

Shapes: B batch, C classes, D features, h×w coarse grid, H×W image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from offstride.data import ClassSet
from offstride.features import NO_GUIDES, Guides
from offstride.field import BilinearField, LogitField
from offstride.models import Segmenter
from offstride.upsamplers import Upsampler
from offstride.upsamplers.base import Size

if TYPE_CHECKING:
    from offstride.inference.scales import Predict


class Given(NamedTuple):
    """What an upsampler is given for a batch of images.

    Attributes:
        scores: `(B, C, h, w)`.
        features: `(B, D, h, w)` that the classifier read.
        size: `(H, W)` that the model upsamples to.
        guides: The image, and finer features.
        finish: What the model does with the field of its upsampler, such as cutting off what images were padded by.
    """

    scores: Tensor
    features: Tensor
    size: Size
    guides: Guides
    finish: Callable[[LogitField], LogitField]

    def field(self, upsampler: Upsampler) -> LogitField:
        """What an upsampler makes of it: a field of the size of the image."""
        return self.finish(upsampler(self.scores, self.features, self.size, self.guides))


class _Catch(Upsampler):
    """Stands where a model upsamples, and keeps what it is given and what it returns."""

    given: tuple[Tensor, Tensor, Size, Guides] | None = None
    returned: LogitField | None = None

    def forward(self, scores: Tensor, features: Tensor, size: Size, guides: Guides = NO_GUIDES) -> LogitField:
        self.given = (scores, features, (size[0], size[1]), guides)
        self.returned = BilinearField(scores, size)
        return self.returned


def _with_source(field: Any, old: LogitField, new: LogitField) -> LogitField:
    """A field that was made of another one, made of a new one."""
    return new if field is old else replace(field, source=_with_source(field.source, old, new))


def upsampler_holder(model: nn.Module) -> Any:
    """The module whose attribute `upsampler` is that of a model: one of another library is held by one of ours."""
    return getattr(model, "replaced", model)


class Frozen:
    """A model without its upsampler, which stays beside it.

    Args:
        model: A `Segmenter` or a `ReplacedModel`. It is taken over, and left in evaluation mode.

    Attributes:
        own: The upsampler that the model came with.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model.eval().requires_grad_(False)
        holder = upsampler_holder(model)
        self.own: Upsampler = holder.upsampler
        self._catch = _Catch()
        holder.upsampler = self._catch

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.model.parameters()).device

    @property
    def classes(self) -> ClassSet:
        """The classes; numbers where the model has no names for them."""
        count = self.model.config.classes
        return self.model.classes or ClassSet(tuple(f"class {index}" for index in range(count)))

    @property
    def factor(self) -> int:
        """Pixels of the image for a coarse pixel, along an axis."""
        model = self.model
        return model.head.out_stride if isinstance(model, Segmenter) else model.config.factor

    @torch.no_grad()
    def coarse(self, images: Tensor) -> Given:
        """Run the model on `(B, 3, H, W)` normalised images, up to where it upsamples."""
        field = self.model.field(images)
        given, returned = self._catch.given, self._catch.returned
        self._catch.given = self._catch.returned = None
        assert given is not None  # the model has called its upsampler
        assert returned is not None
        return Given(*given, partial(_with_source, field, returned))

    def predict(self, upsampler: Upsampler) -> Predict:
        """The whole model with an upsampler: from images to a field."""
        return lambda images: self.coarse(images).field(upsampler)

    def check_classes(self, classes: ClassSet) -> None:
        """Raise a `ValueError` unless a data set has the classes of the model."""
        names, own = ", ".join(classes.names), self.model.classes
        if len(classes) != self.model.config.classes or (own and own.names != classes.names):
            raise ValueError(
                f"dataset: expected the classes of the model, {', '.join(self.classes.names)}; got {names}"
            )
