from collections import Counter

import pytest
import torch
from torch import nn

from offstride.models import create_model
from offstride.models.roles import parameter_roles


def model(**fields):
    return create_model(**{"backbone": "test_resnet", "classes": 5, "head": "aspp", "upsampler": "lau", **fields})


def test_every_parameter_has_one_role_in_order():
    segmenter = model(auxiliary="layer3")
    roles = segmenter.parameter_roles()
    assert [(role.name, id(role.parameter)) for role in roles] == [
        (name, id(parameter)) for name, parameter in segmenter.named_parameters()
    ]


def test_the_head_is_all_but_the_backbone():
    segmenter = model(auxiliary="layer3")
    for role in segmenter.parameter_roles():
        assert (role.part == "backbone") == (role.name.split(".")[0] == "backbone")


def test_offset_convolutions_are_those_of_the_branches():
    roles = model(upsampler_options={"scale": 2, "block": True}).parameter_roles()
    offsets = [role for role in roles if role.kind == "offset"]
    assert [role.name.split(".")[:2] for role in offsets] == [["upsampler", "vertical"]] * 2 + [
        ["upsampler", "horizontal"]
    ] * 2
    block = {role.kind for role in roles if role.name.startswith("upsampler.block")}
    assert block == {"weight", "norm"}


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "test_vit"])
def test_kinds_follow_the_layers(backbone):
    segmenter = model(backbone=backbone, upsampler="bilinear", output_stride=16)
    norms = tuple({type(m) for m in segmenter.modules() if "Norm" in type(m).__name__})
    expected = {}
    for module_name, module in segmenter.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            full = f"{module_name}.{name}"
            if isinstance(module, norms):
                expected[full] = "norm"
            elif isinstance(module, nn.Conv2d | nn.Linear):
                expected[full] = name
    kinds = {role.name: role.kind for role in segmenter.parameter_roles()}
    assert {name: kinds[name] for name in expected} == expected
    assert Counter(expected.values()).keys() == {"norm", "weight", "bias"}


def test_lone_vectors_count_as_scales():
    holder = nn.Module()
    holder.temperature = nn.Parameter(torch.ones(()))
    holder.gamma = nn.Parameter(torch.ones(4))
    assert [role.kind for role in parameter_roles(holder, nn.Identity())] == ["norm", "norm"]
