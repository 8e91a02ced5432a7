"""The average of several predictions of one image, as a field."""

from dataclasses import dataclass

import torch
from torch import Tensor

from offstride.field import LogitField
from offstride.ops.grid import coordinate_dtype
from offstride.ops.labels import label_dtype


@dataclass(frozen=True, eq=False)
class Averaged(LogitField):
    """Averaged class probabilities of every pixel. It renders their logarithms, so that labels, confidences, losses and
    confusion counts are those of the average.

    Args:
        probabilities: `(B, C, H, W)`, which add up to 1 over the classes.
    """

    probabilities: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.probabilities.shape

    @property
    def values(self) -> Tensor:
        return self.probabilities

    def rows(self, start: int, stop: int) -> Tensor:
        band = self._band(start, stop)
        return band.clamp_min(torch.finfo(band.dtype).tiny).log()

    def label_map(self) -> Tensor:
        dtype = label_dtype(self.shape[1])
        return torch.cat([self._band(*band).argmax(1).to(dtype) for band in self.bands()], 1)

    def confidence(self) -> Tensor:
        return torch.cat([self._band(*band).amax(1) for band in self.bands()], 1)

    def _band(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        band = self.probabilities[:, :, start:stop]
        return band.to(coordinate_dtype(band.dtype))
