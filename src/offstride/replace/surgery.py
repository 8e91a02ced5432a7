"""A model in which some modules are others, beside the original: both share all weights, and state keeps its names."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kind = TypeVar("Kind", bound=nn.Module)


class JointClassifier(nn.Conv2d):
    """A classifier that passes on its input behind its scores, as further channels: what an upsampler needs travels
    through whatever lies between the classifier and the end of the model.
    """

    def forward(self, input: Tensor) -> Tensor:
        """`(B, C + D, h, w)`: scores, then features, in the type of the scores."""
        scores = super().forward(input)
        if scores.shape[2:] != input.shape[2:]:
            raise ValueError(
                "classifier: expected scores on the grid of its features, "
                f"got {tuple(scores.shape[2:])} from {tuple(input.shape[2:])}"
            )
        return torch.cat((scores, input.to(scores.dtype)), 1)


class Passing(nn.Module):
    """In the place of an interpolation, which it keeps for its name."""

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


def joint(classifier: nn.Module) -> JointClassifier:
    """The same classifier as a `JointClassifier`."""
    return twin(classifier, JointClassifier)


def passing(interpolation: nn.Module) -> Passing:
    """What does nothing in place of an interpolation."""
    return twin(interpolation, Passing)


def twin(module: nn.Module, kind: type[Kind]) -> Kind:
    """A module of another class with all attributes of the first, and with a table of children of its own."""
    other = object.__new__(kind)
    other.__dict__.update(module.__dict__)
    other.__dict__["_modules"] = dict(module._modules)
    return other


def rebuilt(model: nn.Module, changes: Mapping[str, Callable[[nn.Module], nn.Module]]) -> nn.Module:
    """The model with some modules changed.

    Args:
        model: It stays as it is.
        changes: What becomes of the module at a path; `""` is the model itself, after its children.

    Returns:
        New modules along the paths; all others are those of the model.
    """
    result = twin(model, type(model))
    own = {path: change for path, change in changes.items() if path}
    for child in {path.partition(".")[0] for path in own}:
        inside = {path.partition(".")[2]: change for path, change in own.items() if path.partition(".")[0] == child}
        result._modules[child] = rebuilt(model.get_submodule(child), inside)
    return changes[""](result) if "" in changes else result


def named(model: nn.Module, argument: str, path: str) -> nn.Module:
    """The module at a path.

    Raises:
        ValueError: Naming the argument that holds the path, if there is none.
    """
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise ValueError(f"{argument}: expected the path of a module of the model, got {path!r} ({error})") from error


def check_classifier(module: nn.Module, path: str) -> nn.Conv2d:
    """The module, if it is a plain convolution.

    Raises:
        ValueError: If it is something else.
    """
    if type(module) is not nn.Conv2d:
        raise ValueError(f"classifier: expected a Conv2d at {path!r}, got {type(module).__name__}")
    return module


def interpolated(scores: Tensor, images: Tensor) -> Tensor:
    """What torchvision and transformers do with auxiliary scores: bilinear, to the size of the images."""
    return F.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=False)
