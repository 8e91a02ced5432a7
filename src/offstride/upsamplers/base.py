"""What every upsampler is."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from offstride.field import LogitField


class Upsampler(nn.Module, ABC):
    """From coarse class scores to a field over the image.

    Anything on a coarse grid can take the place of the scores: a decoder upsamples its features with the same modules
    through `dense()`.
    """

    @abstractmethod
    def forward(self, scores: Tensor, features: Tensor, size: tuple[int, int]) -> LogitField:
        """Set up a field.

        Args:
            scores: `(B, C, h, w)` class scores.
            features: `(B, D, h, w)` the feature map that the classifier read.
            size: `(H, W)` of the image.

        Returns:
            Field of shape `(B, C, H, W)`.
        """
