"""Prediction with any callable, a model of this or another library: whole images, sliding windows, several scales,
mirror images.
"""

from offstride.inference.averaged import Averaged
from offstride.inference.images import pixel_reader, predict_pixels
from offstride.inference.protocol import InferenceProtocol
from offstride.inference.scales import (
    DEEPLABV3_SCALES,
    ENCNET_SCALES,
    GFF_SCALES,
    predict_averaged,
    scaled_size,
)
from offstride.inference.sliding import label_sliding, predict_sliding
from offstride.inference.whole import predict_whole, scores_of

__all__ = [
    "DEEPLABV3_SCALES",
    "ENCNET_SCALES",
    "GFF_SCALES",
    "Averaged",
    "InferenceProtocol",
    "label_sliding",
    "pixel_reader",
    "predict_averaged",
    "predict_pixels",
    "predict_sliding",
    "predict_whole",
    "scaled_size",
    "scores_of",
]
