"""Learned upsampling in models of other libraries: torchvision, segmentation_models_pytorch, transformers, or any model
whose classifier and interpolation are modules. The universal upsampler also on models of ours.
"""

from offstride.replace.foreign import ForeignSegmenter
from offstride.replace.plan import UpsamplingPlan
from offstride.replace.replace import plan_upsampling, replace_upsampling
from offstride.replace.replaced import ReplacedModel
from offstride.replace.sharpening import sharpen

__all__ = [
    "ForeignSegmenter",
    "ReplacedModel",
    "UpsamplingPlan",
    "plan_upsampling",
    "replace_upsampling",
    "sharpen",
]
