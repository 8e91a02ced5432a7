"""A model of another library that ends in one of our upsamplers.

Shapes: B batch, C classes, D features of the classifier, h×w coarse grid, H×W image.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from offstride.features import FeatureInfo, GuideLevels, Guides
from offstride.field import BilinearField, LogitField, resized
from offstride.models import Decoded
from offstride.replace.anatomy import Anatomy
from offstride.replace.plan import UpsamplingPlan
from offstride.upsamplers import Upsampler
from offstride.upsamplers.base import to_image


class ReplacedModel(nn.Module, ABC):
    """What `replace_upsampling` returns: arguments and outputs are those of the original model.

    Attributes:
        model: The original up to its coarse scores, with the names of its modules and weights. Called alone it returns
            scores and features in one map.
        upsampler: What replaces the interpolation.
        plan: What was replaced.
    """

    plan: UpsamplingPlan

    def __init__(self, model: nn.Module, upsampler: Upsampler, anatomy: Anatomy, stride: int) -> None:
        super().__init__()
        self.model = model
        self.upsampler = upsampler
        self.classes, self.features = anatomy.classes, anatomy.features
        self.anatomy = anatomy
        self.factor, self.coarse = anatomy.interpolation.factor, anatomy.coarse
        self.read = FeatureInfo(anatomy.features, stride, anatomy.classifier)

    @abstractmethod
    def decode(self, images: Tensor, size: tuple[int, int] | None = None) -> Decoded:
        """Main and auxiliary predictions as fields, for the losses of `offstride.losses`.

        Args:
            images: `(B, 3, H, W)`, normalised as the model expects them.
            size: See `field`.
        """

    def field(self, images: Tensor, size: tuple[int, int] | None = None) -> LogitField:
        """Class scores as a field, which yields labels and losses without the full-resolution tensor.

        Args:
            images: `(B, 3, H, W)`, normalised as the model expects them.
            size: `(H, W)` of the field; by default that of the model's output, or of the images if that is coarse.

        Returns:
            Field of shape `(B, C, H, W)`, before any activation.
        """
        return self.decode(images, size).main

    def original_state_dict(self) -> dict[str, Tensor]:
        """The weights of the original part, with their original names: the original's class loads them strictly."""
        return self.model.state_dict()

    def load_original_state_dict(self, state: Mapping[str, Tensor], strict: bool = True) -> Any:
        """Load weights that an original model has saved; the upsampler is not changed."""
        return self.model.load_state_dict(state, strict=strict)

    def _field(self, joint: Tensor, images: Tensor, size: tuple[int, int] | None) -> LogitField:
        """The field of a joint map."""
        scores, features = joint.split((self.classes, self.features), 1)
        own = size or (images.shape[2], images.shape[3])
        if self.factor is not None:  # an interpolation by a factor does not depend on the images
            own = _times(joint.shape[2], self.factor[0]), _times(joint.shape[3], self.factor[1])
        guides = Guides(resized(images, own), GuideLevels(images, [features], [self.read]))
        coarse = scores if self.upsampler.reads_scores else features
        field = self.upsampler(coarse, features, own, guides)
        return field if size is None else to_image(field, size, "center")

    def _auxiliary(self, scores: Tensor, images: Tensor, size: tuple[int, int] | None) -> LogitField:
        return BilinearField(scores, size or (images.shape[2], images.shape[3]))


def _times(length: int, factor: float) -> int:
    """A length times a factor, rounded down. Where `torch.export` leaves it open it is a symbol, which stays one."""
    return length * int(factor) if factor.is_integer() else torch.sym_int(length * factor)
