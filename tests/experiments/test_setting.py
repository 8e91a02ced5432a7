"""What is changed about the recipes of a table, and what follows from it."""

import pytest

from offstride.experiments.setting import Setting
from offstride.train.recipe_file import load_recipe_file


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text(
        "data: {name: streets, base: 56, crop: [32, 32], val: val}\nmodel: {preset: pspnet_resnet18}\n"
        "evaluate: {base: 56, sliding: [32, 32], split: test}\n"
    )
    return path


def test_another_backbone_takes_the_auxiliary_head_along(plain):
    assert Setting().recipe(plain, 0).model.auxiliary == "layer3"
    assert Setting({"model.backbone": "resnet34"}).recipe(plain, 0).model.auxiliary == "layer3"
    assert Setting({"model.backbone": "mobilenetv2_035"}).recipe(plain, 0).model.auxiliary == "blocks.4"
    chosen = {"model.backbone": "mobilenetv2_035", "model.auxiliary": "blocks.1"}
    assert Setting(chosen).recipe(plain, 0).model.auxiliary == "blocks.1"


@pytest.mark.parametrize(
    ("values", "how"),
    [
        ({}, {"split": "test", "base": 56, "sliding": [32, 32]}),
        ({"data.base": "null"}, {"split": "test", "base": None, "sliding": [32, 32]}),
        ({"data.crop": "[24,40]"}, {"split": "test", "base": 56, "sliding": [24, 40]}),
        ({"data.val": "train"}, {"split": "train", "base": 56, "sliding": [32, 32]}),
        (
            {"evaluate.flip": "true", "evaluate.base": "3"},
            {"split": "test", "base": 3, "sliding": [32, 32], "flip": True},
        ),
    ],
)
def test_scoring_follows_what_is_changed_about_the_training(plain, values, how):
    setting = Setting(values)
    assert setting.evaluation(load_recipe_file(plain), setting.recipe(plain, 0)) == how


def test_where_and_on_what_it_runs_is_no_change(plain, tmp_path):
    setting = Setting({"data.workers": "3", "schedule.steps": "2"}, {"streets": tmp_path})
    assert setting.differs == {"schedule.steps": "2"}
    recipe = setting.recipe(plain, 5)
    assert (recipe.data.root, recipe.data.workers, recipe.schedule.seed) == (tmp_path, 3, 5)
