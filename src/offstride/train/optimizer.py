"""Parameter groups and the learning-rate schedule."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from offstride.models import ParameterRole, Segmenter
from offstride.train.recipe import OptimizerRecipe


def poly(step: int, steps: int, power: float, warmup: int = 0) -> float:
    """Factor of the learning rate: `(1 - step / steps) ** power` (DeepLab), after a linear warm-up."""
    rise = min(1.0, (step + 1) / (warmup + 1))
    return rise * max(0.0, 1 - step / steps) ** power


def parameter_groups(model: Segmenter, recipe: OptimizerRecipe, parts: Collection[str] = ()) -> list[dict[str, Any]]:
    """Parameters by learning rate and weight decay; of some parts of the model only, if there are any `parts`.

    Everything after the backbone learns `head_multiplier` times faster than it; layers that predict offsets, of any
    upsampler, `offset_multiplier` times faster than that; biases of all other layers `bias_multiplier` times faster
    than their weights. Weights of convolutions decay. Normalisation, biases and layers that predict offsets decay if
    the recipe says so, and depthwise kernels unless it says that they do not. Without layers that predict offsets,
    their settings have no effect.
    """
    multipliers = {"bias": recipe.bias_multiplier, "offset": recipe.offset_multiplier}
    members: dict[tuple[str, bool, float], list[nn.Parameter]] = defaultdict(list)
    for role in model.parameter_roles():
        if parts and model.part_of(role.name) not in parts:
            continue
        multiplier = multipliers.get(role.kind, 1.0)
        members[role.part, _decays(role, recipe), multiplier].append(role.parameter)
    return [
        {
            "name": _group_name(part, decay, multiplier),
            "params": parameters,
            "lr": recipe.learning_rate * (1 if part == "backbone" else recipe.head_multiplier) * multiplier,
            "weight_decay": recipe.weight_decay if decay else 0.0,
        }
        for (part, decay, multiplier), parameters in members.items()
    ]


def _decays(role: ParameterRole, recipe: OptimizerRecipe) -> bool:
    asked = {"norm": recipe.decay_norm, "bias": recipe.decay_bias, "offset": recipe.decay_offsets}
    return asked.get(role.kind, recipe.decay_depthwise or not role.depthwise)


def _group_name(part: str, decay: bool, multiplier: float) -> str:
    rate = "" if multiplier == 1 else f", rate × {multiplier:g}"
    return f"{part}, {'decaying' if decay else 'not decaying'}{rate}"


def build_optimizer(groups: Iterable[dict[str, Any]], recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """SGD or AdamW over groups as `parameter_groups` makes them."""
    if recipe.name == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)


def build_scheduler(optimizer: torch.optim.Optimizer, recipe: OptimizerRecipe, steps: int) -> LambdaLR:
    """Polynomial decay for each iteration."""
    return LambdaLR(optimizer, lambda step: poly(step, steps, recipe.power, recipe.warmup))


def freeze_norm(module: nn.Module) -> None:
    """Keep statistics and parameters of all batch normalisation in a module as they are; to be repeated after
    `train()`.
    """
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval().requires_grad_(False)


def set_norm_momentum(module: nn.Module, momentum: float) -> None:
    """Set the share that a batch has in the running statistics of all batch normalisation in a module."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = momentum
