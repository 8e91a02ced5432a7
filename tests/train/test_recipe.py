from offstride.data import STREETS
from offstride.train import ModelRecipe, Recipe, build_model


def test_settings_of_a_recipe_without_preset_are_all_of_them():
    settings = ModelRecipe(backbone="resnet18", head="aspp").settings()
    assert settings["backbone"] == "resnet18"
    assert settings["head"] == "aspp"
    assert settings["output_stride"] == 16
    assert not {"preset", "pretrained"} & settings.keys()


def test_settings_beside_a_preset_are_those_that_were_made():
    assert ModelRecipe(preset="pspnet_resnet18").settings() == {}
    recipe = ModelRecipe(preset="pspnet_resnet18", upsampler="lau", head_options={"channels": 32})
    assert recipe.settings() == {"upsampler": "lau", "head_options": {"channels": 32}}


def test_a_preset_becomes_the_model():
    recipe = Recipe(model=ModelRecipe(preset="pspnet_resnet18", upsampler="lau", head_options={"channels": 32}))
    config = build_model(recipe, STREETS).config
    assert (config.backbone, config.head, config.output_stride, config.auxiliary) == ("resnet18", "psp", 8, "layer3")
    assert config.upsampler == "lau"
    assert config.head_options == {"channels": 32}
    assert config.classes == len(STREETS)
