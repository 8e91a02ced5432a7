"""Data, inference and metrics together: how good a model is."""

from offstride.evaluate.evaluation import Evaluation, LabelledImages, evaluate, label_map

__all__ = ["Evaluation", "LabelledImages", "evaluate", "label_map"]
