from dataclasses import replace
from pathlib import Path

import pytest

from offstride.data import STREETS, TrainTransform
from offstride.models import ModelConfig
from offstride.train import DataRecipe, ModelRecipe, Recipe, build_model


def test_settings_are_the_fields_of_a_model():
    settings = ModelRecipe(backbone="resnet18", head="aspp").settings()
    assert settings["backbone"] == "resnet18"
    assert settings["head"] == "aspp"
    assert settings["output_stride"] == 16
    assert settings.keys() == ModelConfig("resnet18", 3).to_dict().keys() - {"classes", "mean", "std"}


def test_a_wrong_number_is_said_when_the_recipe_is_made_not_when_it_is_built():
    with pytest.raises(ValueError, match="output_stride: expected a positive whole number, got 0"):
        ModelRecipe(output_stride=0)


def test_a_preset_becomes_the_model():
    chosen = ModelRecipe.from_preset("pspnet_resnet18", upsampler="lau", head_options={"channels": 32})
    config = build_model(Recipe(model=chosen), STREETS).config
    assert (config.backbone, config.head, config.output_stride, config.auxiliary) == ("resnet18", "psp", 8, "layer3")
    assert config.upsampler == "lau"
    assert config.head_options == {"channels": 32}
    assert config.classes == len(STREETS)


def test_settings_replace_those_of_a_preset_even_by_what_is_the_default_elsewhere():
    assert ModelRecipe.from_preset("pspnet_resnet18").output_stride == 8
    chosen = ModelRecipe.from_preset("pspnet_resnet18", output_stride=16, head="fcn", auxiliary=None)
    assert chosen == ModelRecipe(backbone="resnet18")
    with pytest.raises(ValueError, match="got 'pspnet_resnet19'; close: pspnet_resnet1"):
        ModelRecipe.from_preset("pspnet_resnet19")


def test_what_a_start_replaces():
    """The backbone's ImageNet weights and the basis of the upsampler stay where these parts are not taken over."""
    own = ModelRecipe(pretrained=True, basis=Path("basis"), start=Path("own"), start_parts=["head"])
    assert own.after(Path("new")) == replace(own, start=Path("new"))
    whole = replace(own, basis=None, start_parts=[]).after(Path("new"))
    assert (whole.start, whole.basis, whole.pretrained) == (Path("new"), None, False)
    parts = replace(own, basis=None, start_parts=["backbone"])
    assert parts.after(Path("new")).pretrained is False
    assert replace(parts, start=None, basis=Path("basis")).after(Path("new")).basis == Path("basis")
    with pytest.raises(ValueError, match="basis: cannot be combined with `start`"):
        replace(own, start_parts=["upsampler"])


def test_every_setting_of_the_augmentation_reaches_it():
    settings = {
        "crop": (30, 40),
        "scale": (0.7, 1.3),
        "flip": 0.2,
        "jitter": 0.3,
        "base": 100,
        "base_side": "long",
        "hue": 0.1,
        "blur": 0.4,
    }
    assert all(getattr(DataRecipe(), name) != value for name, value in settings.items())
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    assert DataRecipe(**settings).transform(mean, std) == TrainTransform(**settings, mean=mean, std=std)
