"""Whole models: backbone, head, classifier and upsampler from a few plain values, and their checkpoints."""

from offstride.models.base import BaseSegmenter, Decoded
from offstride.models.complexity import Complexity, complexity
from offstride.models.config import ModelConfig
from offstride.models.create import create_model
from offstride.models.foreign_config import ForeignConfig
from offstride.models.presets import PRESETS, Preset
from offstride.models.roles import ParameterRole
from offstride.models.segmenter import Segmenter

__all__ = [
    "PRESETS",
    "BaseSegmenter",
    "Complexity",
    "Decoded",
    "ForeignConfig",
    "ModelConfig",
    "ParameterRole",
    "Preset",
    "Segmenter",
    "complexity",
    "create_model",
]
