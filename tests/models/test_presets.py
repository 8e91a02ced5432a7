"""Every published model has its parameters' names, its costs and its shapes, at several strides; every kind of them
trains and survives a checkpoint. Models of one kind differ in numbers, and in the depth of the backbone, alone.

After a change that is meant to rename parameters, `python tests/models/test_presets.py` writes their table again.
"""

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from test_complexity import MILLIONS

from offstride.field import argmax, cross_entropy
from offstride.models import PRESETS, Segmenter, complexity, create_model
from offstride.models.costs import ghost_preset, read_costs
from offstride.models.presets import preset_config
from tiny_recipes import skeleton

pytestmark = pytest.mark.slow

NAMES = Path(__file__).with_name("parameter_names.json")
every_preset = pytest.mark.parametrize("name", PRESETS)
KINDS = {json.dumps(skeleton(preset.config), sort_keys=True): name for name, preset in reversed(PRESETS.items())}
"""The first model of each kind."""

COUNTED = {*KINDS.values(), *(name for name, _, _ in MILLIONS)}
"""Whose multiply-adds are counted again: one of each kind, and those that `test_complexity` reads from the table."""


def names_of(model):
    """A fingerprint of the names and shapes of all tensors, and their number."""
    lines = sorted(f"{name} {tuple(tensor.shape)}" for name, tensor in model.state_dict().items())
    return [len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]]


@every_preset
def test_names_and_costs(name):
    model = ghost_preset(name)
    assert names_of(model) == json.loads(NAMES.read_text())[name]
    table = read_costs()[name]
    own = [each for part, each in model.named_parameters() if not part.startswith("auxiliary.")]
    assert sum(parameter.numel() for parameter in own) == table["parameters"]
    if name in COUNTED:
        assert complexity(model, PRESETS[name].size).macs == table["macs"]


OTHER_STRIDES = [name for name in KINDS.values() if PRESETS[name].config.get("upsampler") != "dupsampling"]


@pytest.mark.parametrize("name", OTHER_STRIDES)
def test_other_strides(name):
    """Not of DUpsampling, whose windows are as large as the stride."""
    stride = PRESETS[name].config["output_stride"]
    with torch.device("meta"):
        model = create_model(name, output_stride=16 if stride == 8 else 8)
    assert names_of(model) == json.loads(NAMES.read_text())[name]
    image = torch.empty(2, 3, 100, 75, device="meta")
    assert model.field(image).shape == (2, model.config.classes, 100, 75)


def test_all_tables_have_the_same_models():
    assert list(read_costs()) == list(json.loads(NAMES.read_text())) == list(PRESETS)


THIN = {"resnet": {"channels": (8, 16, 32, 64)}, "wider_resnet38": {"width": 0.1}, "densenet": {"growth_rate": 8}}


def smaller_backbone(name):
    """Settings of the same network with fewer layers and channels."""
    backbone = PRESETS[name].config["backbone"].replace("101", "50").replace("161", "121")
    thin = next((options for start, options in THIN.items() if backbone.startswith(start)), {})
    return {"backbone": backbone, "backbone_options": thin | PRESETS[name].config.get("backbone_options", {})}


@pytest.mark.parametrize("name", KINDS.values())
def test_it_trains_and_a_checkpoint_restores_it(name, tmp_path):
    torch.manual_seed(0)
    model = create_model(name, classes=3, **smaller_backbone(name))
    images = torch.randn(2, 3, 41, 35)
    labels = torch.randint(0, 3, (2, 41, 35))
    cross_entropy(model.field(images), labels).backward()
    missing = [
        each
        for each, parameter in model.named_parameters()
        if parameter.grad is None and not each.startswith(("auxiliary.", "head.scene", "head.context.scene"))
    ]
    unused = {part.rpartition(".")[0] for part in missing}
    assert all(part.startswith("backbone.") for part in unused), missing
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    model.eval()
    with torch.inference_mode():
        expected = model(images[:1, :, :33])
        with torch.autocast("cpu", torch.bfloat16):
            low = model.field(images[:1, :, :33])
            assert argmax(low).shape == (1, 33, 35)
            assert low.dense().isfinite().all()
        model.save(tmp_path / "model.safetensors")
        del model
        again = Segmenter.load(tmp_path / "model.safetensors")
        assert torch.equal(again(images[:1, :, :33]), expected)


def test_the_classes_are_those_of_the_paper_or_ones_own():
    assert preset_config("pspnet_resnet101").classes == 19
    assert create_model("deeplabv3_mobilenetv2_aspp", classes=4).config.classes == 4


def test_settings_are_those_that_the_rows_of_the_papers_name():
    """Those that neither parameters nor operations show."""
    seen = set()
    for name, preset in PRESETS.items():
        options = {**preset.config.get("head_options", {}), **preset.config.get("upsampler_options", {})}
        if grid := re.search(r"MG\((.*?)\)", preset.row):
            assert preset.config["multi_grid"] == [int(rate) for rate in grid[1].split(",")], name
        if rates := re.search(r"ASPP \((.*?)\)", preset.row):
            assert options["rates"] == [int(rate) for rate in rates[1].split(",")], name
        if stride := re.search(r"(?:OS|output stride )(\d+)", preset.row):
            assert preset.config["output_stride"] == int(stride[1]), name
        if scale := re.search(r"LaU (\d)×", preset.row):
            assert options.get("upsampler_options", options)["scale"] == int(scale[1]), name
        seen |= {kind for kind, match in (("grid", grid), ("rates", rates), ("OS", stride), ("LaU", scale)) if match}
    assert len(seen) == 4
    for name in ("deeplabv3_resnet101_aspp", "deeplabv3_mobilenetv2_aspp", "aspp_resnet50"):
        assert "rates" not in PRESETS[name].config.get("head_options", {})  # those of the paper, the head's own


def test_settings_replace_those_of_a_preset():
    model = create_model("deeplabv3_mobilenetv2_aspp", classes=4, output_stride=8, upsampler="lau")
    assert model.config.output_stride == 8
    assert model.config.upsampler_options == {"scale": 4}


def test_unknown_names_are_told_their_like():
    with pytest.raises(ValueError, match=r"got 'pspnet_resnet110'; close: pspnet_resnet101"):
        create_model("pspnet_resnet110", classes=2)


if __name__ == "__main__":
    rows = [f'  "{name}": {json.dumps(names_of(ghost_preset(name)))}' for name in PRESETS]
    NAMES.write_text("{\n" + ",\n".join(rows) + "\n}\n")
