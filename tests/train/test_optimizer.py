"""Parameter groups, the schedule of the learning rate, frozen normalisation."""

import re

import pytest
import torch
from torch import nn

from offstride.models import create_model
from offstride.train.optimizer import build_optimizer, build_scheduler, freeze_norm, parameter_groups, poly
from offstride.train.recipe import OptimizerRecipe
from offstride.upsamplers import UPSAMPLERS


@pytest.fixture(scope="module")
def model():
    return create_model(backbone="resnet10t", classes=3, upsampler="lau", head_options={"channels": 16})


def rates(model, recipe):
    """Learning rate and decay of every parameter by name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, recipe)
    return {names[p]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_every_parameter_is_in_one_group(model):
    groups = parameter_groups(model, OptimizerRecipe())
    members = [parameter for group in groups for parameter in group["params"]]
    assert len(members) == len(set(members)) == len(list(model.parameters()))


def test_the_paper_groups(model):
    actual = rates(model, OptimizerRecipe(learning_rate=0.01, head_multiplier=10, weight_decay=1e-4))
    for name, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            full = f"{name}.{own}"
            head = not name.startswith("backbone")
            norm, bias = isinstance(module, nn.BatchNorm2d), own == "bias"
            offset = name.startswith("upsampler")
            assert parameter.requires_grad
            expected = (0.1 if head else 0.01, 0.0 if norm or bias or offset else 1e-4)
            assert actual[full] == pytest.approx(expected), full


@pytest.mark.parametrize("option", ["decay_norm", "decay_bias", "decay_offsets"])
def test_decay_can_be_asked_for(model, option):
    default, more = (rates(model, OptimizerRecipe(**kwargs)) for kwargs in ({}, {option: True}))
    changed = {name for name in default if default[name] != more[name]}
    assert changed
    assert all(default[name][1] == 0 and more[name][1] > 0 for name in changed)


def test_depthwise_kernels_need_not_decay():
    model = create_model(backbone="test_efficientnet", classes=3, head_options={"channels": 16})
    names = [name for name, parameter in model.named_parameters() if ".conv_dw." in name]
    assert names
    default, spared = (rates(model, OptimizerRecipe(decay_depthwise=decay)) for decay in (True, False))
    assert {name for name in default if default[name] != spared[name]} == set(names)
    assert all(default[name] == (0.01, 1e-4) and spared[name] == (0.01, 0.0) for name in names)


def test_biases_can_learn_faster(model):
    default, faster = (rates(model, OptimizerRecipe(bias_multiplier=times)) for times in (1.0, 2.0))
    biases = {
        f"{name}.bias"
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.bias is not None
    }
    assert biases
    for name, (rate, decay) in default.items():
        assert faster[name] == pytest.approx((rate * (2 if name in biases else 1), decay)), name
    groups = parameter_groups(model, OptimizerRecipe(bias_multiplier=2.0))
    assert len({group["name"] for group in groups}) == len(groups)


def test_offsets_can_learn_at_their_own_rate(model):
    default, slower = (rates(model, OptimizerRecipe(offset_multiplier=times)) for times in (1.0, 0.1))
    offsets = {role.name for role in model.parameter_roles() if role.kind == "offset"}
    assert len(offsets) == 4
    for name, (rate, decay) in default.items():
        assert slower[name] == pytest.approx((rate * (0.1 if name in offsets else 1), decay)), name


LAU = {"upsampler": "lau", "upsampler_options": {"scale": 4}}
OFFSETS = {  # fields of a model, and the parameters that predict its offsets
    "universal": ({"upsampler": "universal"}, r"upsampler\.network\.offsets\..*"),
    "lau": ({"upsampler": "lau"}, r"upsampler\.(vertical|horizontal)\..*"),
    "cascaded_lau": ({"upsampler": "cascaded_lau"}, r"upsampler\.(reduce|steps)\..*"),
    "dysample": ({"upsampler": "dysample", "upsampler_options": {"dynamic": True}}, r"upsampler\.(move|scope)\..*"),
    "deformable": ({"upsampler": "deformable"}, r"upsampler\.offsets\..*"),
    "inside residual": ({"upsampler": "residual", "upsampler_options": LAU}, r"upsampler\.upsample\..*"),
    "inside a decoder": ({"head": "deeplabv3plus", "head_options": LAU}, r"head\.upsample\..*"),
    "deformable in a decoder": (
        {"head": "deeplabv3plus", "head_options": {"upsampler": "deformable"}},
        r"head\.upsample\.offsets\..*",
    ),
}


def test_all_upsamplers_that_predict_offsets_are_tested():
    built = {name: create_model(backbone="test_resnet", classes=3, upsampler=name) for name in UPSAMPLERS}
    assert {name for name, model in built.items() if model.upsampler.offset_layers()} == OFFSETS.keys() & UPSAMPLERS


@pytest.mark.parametrize("kind", OFFSETS)
def test_layers_that_predict_offsets_have_their_rate_and_decay(kind):
    fields, pattern = OFFSETS[kind]
    model = create_model(backbone="test_resnet", classes=3, **fields)
    offsets = {name for name, _ in model.named_parameters() if re.fullmatch(pattern, name)}
    assert offsets
    assert {role.name for role in model.parameter_roles() if role.kind == "offset"} == offsets
    default, changed = (
        rates(model, OptimizerRecipe(offset_multiplier=times, bias_multiplier=2, decay_offsets=decay))
        for times, decay in ((1.0, False), (0.25, True))
    )
    assert {name for name in default if default[name] != changed[name]} == offsets
    assert {default[name] for name in offsets} == {(0.1, 0.0)}
    assert {changed[name] for name in offsets} == {(0.025, 1e-4)}


def test_models_without_offsets_ignore_their_settings():
    model = create_model(backbone="test_resnet", classes=3, upsampler="carafe")
    assert rates(model, OptimizerRecipe()) == rates(model, OptimizerRecipe(offset_multiplier=0.1, decay_offsets=True))


def test_poly_reaches_zero_at_the_end_and_is_the_published_curve():
    assert [poly(step, 4, 0.9) for step in range(5)] == pytest.approx([1, 0.75**0.9, 0.5**0.9, 0.25**0.9, 0])


def test_warmup_rises_linearly_to_the_curve():
    assert [poly(step, 100, 1.0, warmup=3) for step in range(4)] == pytest.approx([0.25, 0.5 * 0.99, 0.75 * 0.98, 0.97])


@pytest.mark.parametrize("momentum", [0.0, 0.75])
def test_sgd_has_the_momentum_of_the_recipe(momentum):
    parameter = nn.Parameter(torch.zeros(1))
    groups = [{"params": [parameter], "lr": 1.0, "weight_decay": 0.0}]
    optimizer = build_optimizer(groups, OptimizerRecipe(momentum=momentum))
    for _ in range(2):
        parameter.grad = torch.ones(1)
        optimizer.step()
    assert parameter.item() == -(1 + 1 + momentum)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_scheduler_scales_all_groups_alike(model, name):
    recipe = OptimizerRecipe(name=name, learning_rate=0.01)
    optimizer = build_optimizer(parameter_groups(model, recipe), recipe)
    before = [group["lr"] for group in optimizer.param_groups]
    scheduler = build_scheduler(optimizer, recipe, steps=10)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate * 0.5**0.9 for rate in before])


def test_frozen_norm_keeps_statistics_and_parameters(model):
    layer = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    freeze_norm(layer)
    before = {name: value.clone() for name, value in layer[1].state_dict().items()}
    layer(torch.randn(2, 3, 5, 5)).square().mean().backward()
    assert layer[1].weight.grad is None
    assert layer[0].weight.grad is not None
    assert all(torch.equal(before[name], value) for name, value in layer[1].state_dict().items())


@pytest.mark.parametrize("field", ["learning_rate", "head_multiplier", "power"])
def test_rates_must_be_positive(field):
    with pytest.raises(ValueError, match=field):
        OptimizerRecipe(**{field: 0.0})
