"""What is known of a feature map before it is computed, and which maps an upsampler may look at."""

from collections.abc import Sequence
from typing import NamedTuple

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
