"""Inference options, in plain values: what recipes, evaluation and the command line pass on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from offstride.field import LogitField
from offstride.inference.scales import check_scales, predict_averaged
from offstride.inference.scores import Predict
from offstride.inference.views import Reduce, check_reduce
from offstride.inference.whole import predict_whole
from offstride.inference.windows import check_windows


@dataclass(frozen=True)
class InferenceProtocol:
    """Whole images as they are, or an average of predictions; see `predict_averaged`.

    Args:
        scales: Factors of the image's size.
        flip: Predict the mirror image, too.
        window: (h, w) of sliding windows; None predicts images whole.
        overlap: Share of a window that the next one sees again.
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
        """Whether images are read window by window: at their own size they need not fit into memory."""
        return self.window is not None and self.single_scale

    def field(self, predict: Predict, images: Tensor) -> LogitField:
        """Predict `(B, 3, H, W)` images: a field of shape `(B, C, H, W)`; a plain protocol keeps the model's own."""
        if self.plain:
            return predict_whole(predict, images)
        return predict_averaged(
            predict,
            images,
            scales=self.scales,
            flip=self.flip,
            window=self.window,
            overlap=self.overlap,
            base=self.base,
            reduce=self.reduce,
        )

    def __str__(self) -> str:
        """A few words for a table's title; nothing for a plain protocol."""
        parts = [] if tuple(self.scales) == (1,) else ["scales " + " ".join(f"{scale:g}" for scale in self.scales)]
        parts += [f"longer side {self.base}"] if self.base is not None else []
        parts += ["flip"] if self.flip else []
        if self.window is not None:
            parts.append(f"windows {self.window[0]}×{self.window[1]}, overlap {self.overlap:.3g}")
        return ", ".join(parts)
