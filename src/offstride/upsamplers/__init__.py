"""From coarse class scores to a field over the image: one file for each way."""

from offstride.upsamplers.base import Upsampler
from offstride.upsamplers.bilinear import Bilinear
from offstride.upsamplers.lau import LaU

__all__ = ["Bilinear", "LaU", "Upsampler"]
