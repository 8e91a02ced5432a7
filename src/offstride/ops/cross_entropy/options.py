"""What all implementations take beside their tensors, always as keywords."""

from typing import TypedDict

from torch import Tensor

from offstride.ops.grid import Origin
from offstride.ops.location import Ties


class Criterion(TypedDict):
    """Options of a cross-entropy: `(C,)` class weights, share of the target spread over all classes, ignored label."""

    weight: Tensor | None
    label_smoothing: float
    ignore_index: int


class Options(Criterion):
    """The same, and where undisplaced pixels read."""

    origin: Origin


class Terms(TypedDict):
    """Location-aware terms of LaU: λ of Eqs. 3 and 4, γ of Eq. 4, the reach of its search, and whether Eq. 3 penalises
    pixels that are as good undisplaced.
    """

    guided: float | None
    regression: float | None
    window: int
    ties: Ties


class LocatedOptions(Options, Terms):
    """Options with terms."""


NO_TERMS: Terms = {"guided": None, "regression": None, "window": 1, "ties": "penalize"}
