"""The average of several predictions of one image, as a field."""

from dataclasses import dataclass

import torch
from torch import Tensor

from offstride.field import LogitField
from offstride.ops.grid import coordinate_dtype


@dataclass(frozen=True, eq=False)
class Averaged(LogitField):
    """Averaged class probabilities of every pixel. What it renders are their logarithms, so labels, confidences, losses
    and confusion counts of a field are those of the average.

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
        dtype = torch.uint8 if self.shape[1] <= 256 else torch.int64
        return torch.cat([self._band(*band).argmax(1).to(dtype) for band in self.bands()], 1)

    def confidence(self) -> Tensor:
        return torch.cat([self._band(*band).amax(1) for band in self.bands()], 1)

    def _band(self, start: int, stop: int) -> Tensor:
        self.check_rows(start, stop)
        band = self.probabilities[:, :, start:stop]
        return band.to(coordinate_dtype(band.dtype))
