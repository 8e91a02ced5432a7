"""What every upsampler is."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from offstride.features import NO_GUIDES, Guides
from offstride.field import BilinearField, LogitField
from offstride.ops.grid import Origin, same_grid


class Upsampler(nn.Module, ABC):
    """From coarse class scores to a field over the image.

    Anything on a coarse grid can take the place of the scores: a decoder upsamples its features with the same modules
    through `dense()`.

    Attributes:
        reads_scores: Whether there is a 1×1 classifier before it. An upsampler that classifies on its own (pixel
            shuffle, DUpsampling) gets the features in place of scores.
    """

    reads_scores: ClassVar[bool] = True

    @abstractmethod
    def forward(
        self, scores: Tensor, features: Tensor, size: tuple[int, int], guides: Guides = NO_GUIDES
    ) -> LogitField:
        """Set up a field.

        Args:
            scores: `(B, C, h, w)` class scores; the features again for one that does not read scores.
            features: `(B, D, h, w)` the feature map that the classifier read.
            size: `(H, W)` of the image.
            guides: Finer maps, for those that look at them.

        Returns:
            Field of shape `(B, C, H, W)`.
        """


def to_image(field: LogitField, size: tuple[int, int], origin: Origin) -> LogitField:
    """A field over the image: the field itself if it is as large, otherwise what is left is bilinear."""
    return field if same_grid(field.shape[2:], size) else BilinearField(field, size, origin)
