"""Description of a replacement, to be read before or after it."""

from dataclasses import dataclass
from typing import Any

from offstride.ops.grid import Origin

_CONVENTIONS = {
    "center": 'pixel centres (align_corners=False), origin="center"',
    "corner": 'pixel corners, origin="corner"',
    "aligned": 'first and last pixels (align_corners=True), origin="aligned"',
}


@dataclass(frozen=True)
class UpsamplingPlan:
    """The last steps of a model, the upsampler that replaces its interpolation, and what that changes at first.

    Attributes:
        model: What the model is.
        classifier: Path of the classifier.
        features: Channels of the features that the classifier and upsamplers read.
        classes: Number of classes.
        stride: Pixels of the image for one of the coarse scores, rounded.
        interpolation: What is replaced: the path of a module, or the call that interpolates.
        origin: Its pixel convention, see `offstride.ops.grid`.
        upsampler: What replaces it.
        options: Its options, defaults that follow from the model included.
        parameters: Its number of parameters.
        difference: Largest difference between the scores of both models for the example.
        exact: Whether that is rounding.
    """

    model: str
    classifier: str
    features: int
    classes: int
    stride: int
    interpolation: str
    origin: Origin
    upsampler: str
    options: dict[str, Any]
    parameters: int
    difference: float
    exact: bool

    def __str__(self) -> str:
        """A table of two columns."""
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        rows = {
            "model": self.model,
            "classifier": f"{self.classifier}: {self.features} channels to {self.classes} classes, "
            f"stride {self.stride}",
            "interpolation": self.interpolation,
            "convention": _CONVENTIONS[self.origin],
            "upsampler": f"{self.upsampler}({options}), {self.parameters:,} parameters",
            "at start": self._start(),
        }
        width = max(map(len, rows))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())

    def _start(self) -> str:
        if self.exact:
            return f"equals the original (largest difference {self.difference:.1e})"
        return f"differs from the original by up to {self.difference:.2g}: it does not start from the interpolation"
