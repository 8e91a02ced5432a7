"""Whole models: backbone, head, classifier and upsampler from a few plain values, and their checkpoints."""

from offstride.models.complexity import Complexity, complexity
from offstride.models.config import ModelConfig
from offstride.models.create import create_model
from offstride.models.presets import PRESETS, Preset
from offstride.models.roles import ParameterRole
from offstride.models.segmenter import Decoded, Segmenter

__all__ = [
    "PRESETS",
    "Complexity",
    "Decoded",
    "ModelConfig",
    "ParameterRole",
    "Preset",
    "Segmenter",
    "complexity",
    "create_model",
]
