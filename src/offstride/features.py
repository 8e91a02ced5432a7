"""What is known of a feature map before it is computed, and which maps an upsampler may look at.

Shapes: B batch, C classes, D channels of a feature, h×w coarse grid, H×W image.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from torch import Tensor


class FeatureInfo(NamedTuple):
    """A feature map: its channels, its stride in image pixels and the module that it comes from."""

    channels: int
    stride: int
    name: str


class Guides(NamedTuple):
    """Finer maps that say where things are.

    Attributes:
        image: `(B, 3, H, W)` the normalised image, or None.
        levels: All features of the backbone, finest first; none where there is no backbone.
    """

    image: Tensor | None = None
    levels: Sequence[Tensor] = ()


NO_GUIDES = Guides()


class Coarse(NamedTuple):
    """All that an upsampler reads of a model, besides the image: the model's outputs before the upsampler.

    Attributes:
        scores: `(B, C, h, w)` class scores; the features again before an upsampler that classifies on its own.
        features: `(B, D, h, w)` the feature map that the classifier read.
        levels: As in `Guides`.
    """

    scores: Tensor
    features: Tensor
    levels: Sequence[Tensor] = ()

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with each map changed."""
        return type(self)(change(self.scores), change(self.features), [change(level) for level in self.levels])


def level_of_stride(features: Sequence[FeatureInfo], stride: int) -> int:
    """Position of the last feature of a stride: the deepest one of this resolution.

    Raises:
        ValueError: If there is none.
    """
    positions = [i for i, info in enumerate(features) if info.stride == stride]
    if not positions:
        strides = ", ".join(str(info.stride) for info in features) or "none"
        raise ValueError(f"guide_stride: expected the stride of a feature of the backbone ({strides}), got {stride}")
    return positions[-1]
