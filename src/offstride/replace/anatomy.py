"""What is known of a model of others: where it classifies, how it interpolates, and how to stop before that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from offstride.ops.grid import Origin

Change = Callable[[nn.Module], nn.Module]
"""What becomes of a module, see `rebuilt`."""


@dataclass(frozen=True)
class Anatomy:
    """The last steps of a model.

    Attributes:
        model: What it is, for people.
        classifier: Path of the classifier.
        classes: Number of classes C.
        features: Channels D of what the classifier reads.
        interpolation: Path of the interpolation, or the call that does it.
        origin: Its pixel convention.
        factor: What it multiplies sizes by; None if it goes to the size of the images.
        changes: Makes the model one that returns joint maps, see `JointClassifier` and `rebuilt`.
        kind: The `ReplacedModel` that it becomes.
        coarse: Whether the model returns coarse scores, and its owner interpolates.
    """

    model: str
    classifier: str
    classes: int
    features: int
    interpolation: str
    origin: Origin
    factor: tuple[float, float] | None
    changes: Mapping[str, Change]
    kind: type[Any]
    coarse: bool = False


def upsample_of(module: nn.Module, path: str) -> tuple[Origin, tuple[float, float]]:
    """Pixel convention and factors of an `nn.Upsample`.

    Raises:
        ValueError: If it is no bilinear interpolation by a factor.
    """
    if not isinstance(module, nn.Upsample):
        raise ValueError(f"upsampling: expected an nn.Upsample at {path!r}, got {type(module).__name__}")
    if module.mode != "bilinear" or module.scale_factor is None:
        raise ValueError(f"upsampling: expected bilinear interpolation by a factor at {path!r}, got {module}")
    factor = module.scale_factor
    vertical, horizontal = (factor, factor) if isinstance(factor, int | float) else factor
    return "aligned" if module.align_corners else "center", (float(vertical), float(horizontal))


def last_convolution(model: nn.Module, inside: str, classes: int | None = None) -> str:
    """Path of the last convolution inside a module, of those with as many outputs as there are classes.

    Raises:
        ValueError: If there is none.
    """
    paths = [
        f"{inside}.{name}" if name else inside
        for name, module in model.get_submodule(inside).named_modules()
        if isinstance(module, nn.Conv2d) and classes in (None, module.out_channels)
    ]
    if not paths:
        wanted = "a Conv2d" if classes is None else f"a Conv2d to {classes} classes"
        raise ValueError(f"classifier: expected {wanted} inside {inside!r} of {type(model).__name__}, found none")
    return paths[-1]
