"""Losses as functions of fields."""

from offstride.field import cross_entropy
from offstride.losses.composite import LossConfig, segmentation_losses
from offstride.losses.compressed_labels import compressed_label_loss
from offstride.losses.hard_pixels import hard_pixels
from offstride.losses.location import located, offset_guided_loss, offset_regression_loss
from offstride.losses.scene import scene_loss

__all__ = [
    "LossConfig",
    "compressed_label_loss",
    "cross_entropy",
    "hard_pixels",
    "located",
    "offset_guided_loss",
    "offset_regression_loss",
    "scene_loss",
    "segmentation_losses",
]
