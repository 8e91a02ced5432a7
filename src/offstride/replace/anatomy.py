"""The last steps of a model of another library: where it classifies and how it interpolates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from offstride.ops.grid import Origin
from offstride.replace.surgery import JointClassifier


class Interpolation(NamedTuple):
    """How a model upsamples its scores; by default to the size of the images, by a call in `forward`.

    Attributes:
        text: Path of the module, or the call, for people.
        origin: Its pixel convention.
        factor: Vertical and horizontal factor of sizes; None if it goes to the size of the images.
    """

    text: str = "interpolate(mode='bilinear', align_corners=False) to the image, in forward"
    origin: Origin = "center"
    factor: tuple[float, float] | None = None


@dataclass(frozen=True)
class Anatomy:
    """The last steps of a model.

    Attributes:
        model: Its library and class, for people.
        classifier: Path of the classifier.
        classes: Number of classes C.
        features: Channels D of what the classifier reads.
        interpolation: How it upsamples the scores.
        changes: Classes of the modules that make the model return joint maps, by path; see `JointClassifier` and
            `rebuilt`.
        kind: The `ReplacedModel` that it becomes.
        coarse: Whether the model returns coarse scores, and its caller interpolates.
    """

    model: str
    classifier: str
    classes: int
    features: int
    interpolation: Interpolation
    changes: Mapping[str, type[nn.Module]]
    kind: type[Any]
    coarse: bool = False


def dissect(
    model: nn.Module,
    name: str,
    classifier: str,
    interpolation: Interpolation,
    changes: Mapping[str, type[nn.Module]],
    kind: type[Any],
    coarse: bool = False,
) -> Anatomy:
    """The anatomy of a model whose classifier is one convolution; arguments as the attributes of `Anatomy`.

    Raises:
        ValueError: If there is no plain convolution at the path of the classifier.
    """
    conv = module_at(model, "classifier", classifier)
    if type(conv) is not nn.Conv2d:
        raise ValueError(f"classifier: expected a Conv2d at {classifier!r}, got {type(conv).__name__}")
    changes = {classifier: JointClassifier, **changes}
    return Anatomy(name, classifier, conv.out_channels, conv.in_channels, interpolation, changes, kind, coarse)


def module_at(model: nn.Module, argument: str, path: str) -> nn.Module:
    """The module at a path.

    Raises:
        ValueError: Naming the argument that holds the path, if there is none.
    """
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise ValueError(f"{argument}: expected the path of a module of the model, got {path!r} ({error})") from error


def upsample_at(model: nn.Module, path: str) -> Interpolation:
    """The `nn.Upsample` at a path.

    Raises:
        ValueError: If there is no bilinear interpolation by a factor.
    """
    module = module_at(model, "upsampling", path)
    if not isinstance(module, nn.Upsample):
        raise ValueError(f"upsampling: expected an nn.Upsample at {path!r}, got {type(module).__name__}")
    if module.mode != "bilinear" or module.scale_factor is None:
        raise ValueError(f"upsampling: expected bilinear interpolation by a factor at {path!r}, got {module}")
    factor = module.scale_factor
    vertical, horizontal = (factor, factor) if isinstance(factor, int | float) else factor
    origin = "aligned" if module.align_corners else "center"
    return Interpolation(f"{path}: {module}", origin, (float(vertical), float(horizontal)))


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
