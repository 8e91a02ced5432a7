"""What every head is."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn


@dataclass(frozen=True)
class HeadOutput:
    """All that a head finds.

    Attributes:
        map: `(B, D, h, w)` that the classifier reads.
        scene: `(B, C)` scores for the presence of a class, where the head gives them.
        gates: Gate maps `(B, 1, h, w)` by level, finest first, where it has gates.
    """

    map: Tensor
    scene: Tensor | None = None
    gates: list[Tensor] = field(default_factory=list)


class Head(nn.Module, ABC):
    """From all features of a backbone to the one map that the classifier reads.

    Attributes:
        out_channels: Channels D of this map.
        out_stride: Its stride in image pixels.
        atrous: Whether it has the `rates` of DeepLabv3 (§3.3), which double at output stride 8 unless they are given.
    """

    atrous: ClassVar[bool] = False
    out_channels: int
    out_stride: int

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(B, D, h, w)` from the list of features that the head was made for."""

    def decode(self, features: Sequence[Tensor], closed: Collection[int] = ()) -> HeadOutput:
        """The same with all that comes with it.

        Args:
            features: The same.
            closed: Levels whose gate is set to zero, in heads that have gates.

        Raises:
            ValueError: If there are gates to close that the head has not got.
        """
        if closed:
            raise ValueError(f"closed: expected no levels, {type(self).__name__} has no gates; got {sorted(closed)}")
        return self.explain(features)

    def explain(self, features: Sequence[Tensor]) -> HeadOutput:
        """What `decode` returns with all gates open; heads that find more than a map override this."""
        return HeadOutput(self(features))
