"""Data, inference and metrics together: scores of models, and upper bounds of them."""

from offstride.evaluate.evaluation import WHOLE, Evaluation, LabelledImages, evaluate, label_map, predicted
from offstride.evaluate.label_shards import LabelShards, encode_dataset
from offstride.evaluate.learned_bound import (
    LabelNetwork,
    LabelTraining,
    LearnedBound,
    Trained,
    learned_bound,
    mean_and_deviation,
)
from offstride.evaluate.submission import SUBMISSIONS, Submission, open_submission
from offstride.evaluate.upper_bound import (
    Coarse,
    Interpolation,
    LabelDecoder,
    label_decoder,
    reconstruction_bound,
    reconstruction_bounds,
)

__all__ = [
    "SUBMISSIONS",
    "WHOLE",
    "Coarse",
    "Evaluation",
    "Interpolation",
    "LabelDecoder",
    "LabelNetwork",
    "LabelShards",
    "LabelTraining",
    "LabelledImages",
    "LearnedBound",
    "Submission",
    "Trained",
    "encode_dataset",
    "evaluate",
    "label_decoder",
    "label_map",
    "learned_bound",
    "mean_and_deviation",
    "open_submission",
    "predicted",
    "reconstruction_bound",
    "reconstruction_bounds",
]
