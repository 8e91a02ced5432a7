"""Parameter groups and the learning-rate schedule."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from offstride.models import BaseSegmenter
from offstride.train.recipe import OptimizerRecipe


def poly(step: int, steps: int, power: float, warmup: int = 0) -> float:
    """Factor of the learning rate: `(1 - step / steps) ** power` (DeepLab), after a linear warm-up."""
    rise = min(1.0, (step + 1) / (warmup + 1))
    return rise * max(0.0, 1 - step / steps) ** power


def parameter_groups(
    model: BaseSegmenter, recipe: OptimizerRecipe, parts: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Parameters grouped by learning rate and weight decay; only those of `parts` of the model, unless empty.

    The learning rate of the backbone is multiplied by `head_multiplier` for everything else; on top of that by
    `offset_multiplier` for layers that predict offsets, of any upsampler, and by `bias_multiplier` for biases of other
    layers. Weights of convolutions decay; normalisation, biases, layers that predict offsets and depthwise kernels as
    the recipe says. Without layers that predict offsets, their settings have no effect.
    """
    multipliers = {"bias": recipe.bias_multiplier, "offset": recipe.offset_multiplier}
    decays = {"norm": recipe.decay_norm, "bias": recipe.decay_bias, "offset": recipe.decay_offsets}
    members: dict[tuple[str, bool, float], list[nn.Parameter]] = defaultdict(list)
    for role in model.parameter_roles():
        if parts and model.part_of(role.name) not in parts:
            continue
        decay = decays.get(role.kind, recipe.decay_depthwise or not role.depthwise)
        members[role.part, decay, multipliers.get(role.kind, 1.0)].append(role.parameter)
    return [
        {
            "name": _group_name(part, decay, multiplier),
            "params": parameters,
            "lr": recipe.learning_rate * (1 if part == "backbone" else recipe.head_multiplier) * multiplier,
            "weight_decay": recipe.weight_decay if decay else 0.0,
        }
        for (part, decay, multiplier), parameters in members.items()
    ]


def _group_name(part: str, decay: bool, multiplier: float) -> str:
    rate = "" if multiplier == 1 else f", rate × {multiplier:g}"
    return f"{part}, {'decaying' if decay else 'not decaying'}{rate}"


def build_optimizer(groups: Iterable[dict[str, Any]], recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """SGD or AdamW over groups of `parameter_groups`."""
    if recipe.name == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)


def build_scheduler(optimizer: torch.optim.Optimizer, recipe: OptimizerRecipe, steps: int) -> LambdaLR:
    """Polynomial decay for each iteration."""
    return LambdaLR(optimizer, lambda step: poly(step, steps, recipe.power, recipe.warmup))


def freeze_norm(module: nn.Module) -> None:
    """Freeze statistics and parameters of all batch normalisation in a module; to be repeated after `train()`."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval().requires_grad_(False)


def set_norm_momentum(module: nn.Module, momentum: float) -> None:
    """Set the weight of a batch in the running statistics of all batch normalisation in a module."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = momentum
