"""The role of each parameter, which decides its learning rate and weight decay."""

from typing import Literal, NamedTuple

from torch import nn

from offstride.upsamplers import Upsampler


class ParameterRole(NamedTuple):
    """The role of a parameter in a model.

    Attributes:
        name: As in `named_parameters`.
        parameter: The parameter itself.
        part: `"backbone"`, or `"head"` for everything else.
        kind: `"offset"` for weights and biases of layers that predict offsets (`Upsampler.offset_layers`), also inside
            heads; `"norm"` for normalisation and other per-channel scales; `"bias"`; `"weight"` for everything else.
        depthwise: Whether it is the kernel of a depthwise convolution: one of one channel each.
    """

    name: str
    parameter: nn.Parameter
    part: Literal["backbone", "head"]
    kind: Literal["weight", "bias", "norm", "offset"]
    depthwise: bool = False


def parameter_roles(model: nn.Module, backbone: nn.Module) -> list[ParameterRole]:
    """Roles in the order of `model.named_parameters()`; `backbone` is a part of `model`."""
    in_backbone = {id(parameter) for parameter in backbone.parameters()}
    upsamplers = [module for module in model.modules() if isinstance(module, Upsampler)]
    layers = [layer for upsampler in upsamplers for layer in upsampler.offset_layers()]
    of_offsets = {id(parameter) for layer in layers for parameter in layer.parameters()}
    roles = []
    for name, parameter in model.named_parameters():
        owner = model.get_submodule(name.rpartition(".")[0])
        kind = "offset" if id(parameter) in of_offsets else _kind(name, parameter, owner)
        part = "backbone" if id(parameter) in in_backbone else "head"
        roles.append(ParameterRole(name, parameter, part, kind, kind == "weight" and _is_depthwise(owner)))
    return roles


def _is_depthwise(owner: nn.Module) -> bool:
    return isinstance(owner, nn.Conv2d) and 1 < owner.groups == owner.in_channels


def _kind(name: str, parameter: nn.Parameter, owner: nn.Module) -> Literal["weight", "bias", "norm"]:
    """A vector is the bias of a layer that has a matrix or a kernel too, or belongs to a normalisation: this holds for
    the normalisation layers of any library.
    """
    if parameter.ndim > 1:
        return "weight"
    beside = any(other.ndim > 1 for other in owner.parameters(recurse=False))
    return "bias" if beside and name.endswith("bias") else "norm"
