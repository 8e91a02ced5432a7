"""A copy of a model in which some modules have other classes: it shares all weights with the original, and the names
in its state are the same.
"""

from collections.abc import Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kind = TypeVar("Kind", bound=nn.Module)


class JointClassifier(nn.Conv2d):
    """A classifier that appends its input to its scores as further channels, so that an upsampler gets both wherever
    the model passes them on.
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
    """Replaces an interpolation by the identity, under the same name."""

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


def twin(module: nn.Module, kind: type[Kind]) -> Kind:
    """A module of another class with the same attributes, and a separate table of the same children."""
    other = object.__new__(kind)
    other.__dict__.update(module.__dict__)
    other.__dict__["_modules"] = dict(module._modules)
    return other


def rebuilt(model: nn.Module, kinds: Mapping[str, type[nn.Module]]) -> nn.Module:
    """The model with other classes for some of its modules.

    Args:
        model: It is not changed.
        kinds: New class of the module at each path; `""` is the model itself.

    Returns:
        New modules along the paths; all others are shared with the model.
    """
    result = twin(model, kinds.get("", type(model)))
    below = [(path.partition("."), kind) for path, kind in kinds.items() if path]
    for child in {name for (name, _, _), _ in below}:
        inside = {rest: kind for (name, _, rest), kind in below if name == child}
        result._modules[child] = rebuilt(model.get_submodule(child), inside)
    return result


def interpolated(scores: Tensor, images: Tensor) -> Tensor:
    """Bilinear interpolation to the size of the images, as torchvision and transformers do with auxiliary scores."""
    return F.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=False)
