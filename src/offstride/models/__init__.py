"""Whole models: backbone, head, classifier and upsampler from a few plain values, and their checkpoints."""

from offstride.models.config import ModelConfig
from offstride.models.create import create_model
from offstride.models.roles import ParameterRole
from offstride.models.segmenter import Decoded, Segmenter

__all__ = ["Decoded", "ModelConfig", "ParameterRole", "Segmenter", "create_model"]
