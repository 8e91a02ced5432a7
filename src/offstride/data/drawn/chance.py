"""Random choices that return plain Python values."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")


def pick(rng: np.random.Generator, options: Sequence[Option], weights: Sequence[float] | None = None) -> Option:
    """Return one of the options, each as likely as its share of the weights; all alike without weights."""
    if weights is None:
        return options[int(rng.integers(len(options)))]
    remaining = rng.random() * sum(weights)
    for option, weight in zip(options, weights, strict=True):
        remaining -= weight
        if remaining < 0:
            return option
    return options[-1]
