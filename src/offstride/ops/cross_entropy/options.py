"""The options of the cross-entropy: declared here, and passed on everywhere else as `**options`.

Callers give any of `CrossEntropyOptions`; `completed` adds the defaults. Implementations get all of theirs, always as
keywords.
"""

from typing import TypedDict

from torch import Tensor

from offstride.ops.grid import Origin
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.location import Ties

PENALTY = 0.3
"""λ of LaU, Eqs. 3 and 4, in the paper."""

STRENGTH = 0.1
"""γ of LaU, Eq. 4, in the paper."""


class CrossEntropyOptions(TypedDict, total=False):
    """How the cross-entropy of a pixel is counted; everything has a default.

    Attributes:
        weight: `(C,)` class weights, on the device of the scores; means are then over weights, as in torch. Default 1.
        label_smoothing: Share of the target spread over all classes, as in `torch.nn.functional.cross_entropy`. In
            [0, 1), default 0.
        ignore_index: Label of pixels that do not count. Default 255.
    """

    weight: Tensor | None
    label_smoothing: float
    ignore_index: int


class CompleteOptions(TypedDict):
    """`CrossEntropyOptions`, all of them."""

    weight: Tensor | None
    label_smoothing: float
    ignore_index: int


class Options(CompleteOptions):
    """The same, and the pixel convention: where undisplaced pixels read."""

    origin: Origin


class Terms(TypedDict):
    """Location-aware terms of LaU.

    Attributes:
        guided: λ of Eqs. 3 and 4, or None.
        regression: γ of Eq. 4, or None for Eq. 3.
        window: Coarse locations that Eq. 4 looks at on every side of a pixel; 1 are the four corners of its cell.
        ties: Whether Eq. 3 penalises pixels whose loss is the same undisplaced (as printed) or spares them (as
            released).
    """

    guided: float | None
    regression: float | None
    window: int
    ties: Ties


class DisplacedOptions(Options, Terms):
    """Options with terms."""


NO_TERMS: Terms = {"guided": None, "regression": None, "window": 1, "ties": "penalize"}


def completed(
    *, weight: Tensor | None = None, label_smoothing: float = 0.0, ignore_index: int = IGNORE_INDEX
) -> CompleteOptions:
    """The options with defaults for those that are not given.

    Raises:
        ValueError: If smoothing or ignored label are none.
    """
    check_smoothing(label_smoothing)
    check_ignored(ignore_index)
    return {"weight": weight, "label_smoothing": label_smoothing, "ignore_index": ignore_index}


def check_ignored(ignore_index: int) -> None:
    """Raise a `ValueError` unless this is an integer."""
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise ValueError(f"ignore_index: expected an integer, got {ignore_index!r}")


def check_smoothing(label_smoothing: float) -> None:
    """Raise a `ValueError` unless this is a share below 1."""
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing: expected a share in [0, 1), got {label_smoothing}")


def check_window(window: int) -> None:
    """Raise a `ValueError` unless Eq. 4 of LaU can search so far."""
    if window < 1:
        raise ValueError(f"window: expected 1 or more, got {window}")
