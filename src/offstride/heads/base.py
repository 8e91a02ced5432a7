"""Base class of heads, and a check that some of them share."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn


@dataclass(frozen=True)
class HeadOutput:
    """All outputs of a head.

    Attributes:
        map: `(B, D, h, w)` that the classifier reads.
        scene: `(B, C)` scores for the presence of a class, if the head has them.
        gates: Gate maps `(B, 1, h, w)` by level, finest first, if it has gates.
    """

    map: Tensor
    scene: Tensor | None = None
    gates: list[Tensor] = field(default_factory=list)


class Head(nn.Module, ABC):
    """From all features of a backbone to the one map that the classifier reads.

    Attributes:
        out_channels: Channels D of this map.
        out_stride: Its stride in image pixels.
        atrous: Whether it has the `rates` of DeepLabv3 (§3.3), which double at output stride 8 by default.
    """

    atrous: ClassVar[bool] = False
    out_channels: int
    out_stride: int

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, D, h, w)` from the list of features that the head was made for."""

    def decode(self, features: Sequence[Tensor], closed: Collection[int] = ()) -> HeadOutput:
        """All outputs.

        Args:
            features: The features that the head was made for.
            closed: Levels whose gate is set to zero, in heads that have gates.

        Raises:
            ValueError: If the head has no such gates.
        """
        if closed:
            raise ValueError(f"closed: expected no levels, {type(self).__name__} has no gates; got {sorted(closed)}")
        return self.explain(features)

    def explain(self, features: Sequence[Tensor]) -> HeadOutput:
        """What `decode` returns with all gates open; heads with more outputs than a map override this."""
        return HeadOutput(self(features))


def check_pooled(pooled: Tensor, norm: nn.Module, head: str) -> None:
    """Raise a `ValueError` if batch normalisation is to train on `(1, D, 1, 1)`: one value per channel has no variance.

    Synchronised normalisation, which sees the images of other processes too, is not refused.
    """
    if not norm.training or not isinstance(norm, nn.BatchNorm2d):
        return
    if len(pooled) == 1 and pooled.shape[2:].numel() == 1:
        raise ValueError(
            f"images: the image pooling of {head} cannot train its batch normalisation on one image; "
            "use two or more per process, synchronised or frozen normalisation, or eval()"
        )
