"""Inference options as plain values, for recipes, evaluation and the command line."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from offstride.field import LogitField
from offstride.inference.scales import check_scales, predict_averaged
from offstride.inference.whole import Predict, Reduce, check_reduce, predict_whole
from offstride.inference.windows import check_windows


@dataclass(frozen=True)
class InferenceProtocol:
    """Inference options: predict whole images, or average over scales, windows and mirror images (`predict_averaged`).

    Args:
        scales: Factors of the image's size.
        flip: Also predict the mirror image.
        window: (h, w) of sliding windows; None predicts images whole.
        overlap: Share of a window that overlaps with the next one.
        base: Length that the image's longer side has at scale 1; by default the image's own.
        reduce: What is averaged.

    Raises:
        ValueError: If an argument is out of range.
    """

    # fields with a help text are options of the command line
    scales: Sequence[float] = field(default=(1.0,), metadata={"help": "average over scales: 0.5 0.75 1 …"})
    flip: bool = field(default=False, metadata={"help": "average with the mirror image"})
    window: tuple[int, int] | None = field(
        default=None, metadata={"help": "average over windows of this size", "option": "sliding"}
    )
    overlap: float = field(default=1 / 3, metadata={"help": "share of a window that the next one sees again"})
    base: int | None = field(default=None, metadata={"help": "longer side of images at scale 1, if not their own"})
    reduce: Reduce = "probabilities"

    def __post_init__(self) -> None:
        check_scales(self.scales, self.base)
        check_reduce(self.reduce)
        check_windows(self.window or (1, 1), self.overlap)

    @property
    def single_scale(self) -> bool:
        """Whether images keep their size."""
        return tuple(self.scales) == (1,) and self.base is None

    @property
    def plain(self) -> bool:
        """Whether there is one prediction and nothing to average."""
        return self.single_scale and not self.flip and self.window is None

    @property
    def in_windows(self) -> bool:
        """Whether images are read window by window, so that they need not fit into memory."""
        return self.window is not None and self.single_scale

    def field(self, predict: Predict, images: Tensor) -> LogitField:
        """Predict `(B, 3, H, W)` images: a field of shape `(B, C, H, W)`; a plain protocol returns the model's own."""
        if self.plain:
            return predict_whole(predict, images)
        return predict_averaged(predict, images, **vars(self))

    def __str__(self) -> str:
        """Short text for the title of a table; empty for a plain protocol."""
        parts = [] if tuple(self.scales) == (1,) else ["scales " + " ".join(f"{scale:g}" for scale in self.scales)]
        parts += [f"longer side {self.base}"] if self.base is not None else []
        parts += ["flip"] if self.flip else []
        if self.window is not None:
            parts.append(f"windows {self.window[0]}×{self.window[1]}, overlap {self.overlap:.3g}")
        return ", ".join(parts)
