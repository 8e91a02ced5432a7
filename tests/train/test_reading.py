"""From recipe files and words to recipes: what lies over what, presets, lengths, numbers as people write them."""

import subprocess
import sys

import pytest
import yaml
from jsonargparse import ArgumentParser

from offstride.train import ModelRecipe
from offstride.train.reading import (
    add_recipe,
    parse_stages,
    read_recipe,
    read_stages,
    split_arguments,
    split_settings,
)

pytestmark = pytest.mark.slow

FIRST = {"model": {"backbone": "test_resnet", "head_options": {"channels": 8}}, "schedule": {"steps": 2}}


@pytest.fixture
def recipes(tmp_path):
    (tmp_path / "first.yaml").write_text(yaml.safe_dump(FIRST))
    second = {
        "base": "first.yaml",
        "after": "first.yaml",
        "model": {"output_stride": 8},
        "schedule": {"freeze_norm": "all"},
    }
    (tmp_path / "second.yaml").write_text(yaml.safe_dump(second))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "files", "settings"),
    [
        ("a.yaml b.yaml --output c", "a.yaml b.yaml", "--output c"),
        ("--output c --recipe a.yaml --resume --recipe=b.yaml", "a.yaml b.yaml", "--output c --resume"),
        ("a.yaml --recipe b.yaml --data.root d", "a.yaml b.yaml", "--data.root d"),
        ("--output c", "", "--output c"),
    ],
)
def test_files_and_settings_are_told_apart(words, files, settings):
    assert split_arguments(words.split()) == (files.split(), settings.split())


def test_settings_win_over_files_wherever_they_stand(recipes):
    stages = read_stages([recipes / "second.yaml"], {"optimizer.learning_rate": "1e-3", "data.repeat": "[car]"})
    assert [stage.optimizer.learning_rate for stage in stages] == [0.001, 0.001]
    assert [stage.data.repeat for stage in stages] == [["car"], ["car"]]


def test_a_preset_among_the_settings_stands_for_its_own(recipes):
    """For all of them: what a recipe says of its own head would not fit; other settings replace them, wherever."""
    preset = {"model.preset": "pspnet_resnet18"}
    first, second = read_stages([recipes / "second.yaml"], {**preset, "model.pretrained": "true"})
    assert first.model == second.model == ModelRecipe.from_preset("pspnet_resnet18", pretrained=True)
    assert second.schedule.freeze_norm == "all"
    for settings in ({**preset, "model.output_stride": "16"}, {"model.output_stride": "16", **preset}):
        assert read_stages([], settings)[-1].model == ModelRecipe.from_preset("pspnet_resnet18", output_stride=16)
    with pytest.raises(ValueError, match="got 'pspnet'"):
        read_stages([], {"model.preset": "pspnet"})


def test_a_recipe_of_a_finished_run_is_one(recipes):
    """Files of earlier versions say that there was no preset."""
    (recipes / "old.yaml").write_text("model: {preset: null, backbone: resnet18, head: psp}")
    assert read_recipe(recipes / "old.yaml").model == ModelRecipe(backbone="resnet18", head="psp")


def test_numbers_as_people_write_them(tmp_path):
    """YAML 1.1 takes 1e-3 for a word."""
    (tmp_path / "a.yaml").write_text("optimizer: {learning_rate: 1e-3, weight_decay: 4.0e-5}\nschedule: {epochs: 80}\n")
    recipe = read_recipe(tmp_path / "a.yaml")
    assert (recipe.optimizer.learning_rate, recipe.optimizer.weight_decay, recipe.schedule.epochs) == (
        0.001,
        4e-5,
        80.0,
    )


def test_the_newer_settings_of_a_recipe_are_read(tmp_path):
    wanted = {
        "data": {"name": "voc2012", "base": 520, "base_side": "long", "blur": 0.5, "hue": 0.1, "repeat": ["sofa"]},
        "optimizer": {"bias_multiplier": 2.0, "decay_depthwise": False},
        "schedule": {"accumulate": 4, "batch_size": 16, "norm_momentum": 0.0003},
        "loss": {"labels": "downsampled"},
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(wanted))
    recipe = read_recipe(tmp_path / "a.yaml")
    for section, settings in wanted.items():
        for name, value in settings.items():
            assert getattr(getattr(recipe, section), name) == value


def test_steps_among_the_settings_replace_a_recipes_epochs(tmp_path):
    (tmp_path / "long.yaml").write_text("schedule: {epochs: 80}\n")
    for more, epochs in (({}, None), ({"schedule.epochs": "2"}, 2)):
        schedule = read_stages([tmp_path / "long.yaml"], {"schedule.steps": "3", **more})[-1].schedule
        assert (schedule.steps, schedule.epochs) == (3, epochs)


def test_settings_on_a_command_line_are_told_from_other_words(recipes):
    words = ["--data.repeat+=sofa", "--output=a.b", "--data.repeat+", "chair", "--resume", "--loss.ohem", "--x"]
    with pytest.raises(ValueError, match=r"loss\.ohem: expected a value"):
        split_settings(words)
    settings, others = split_settings(words[:5])
    assert others == ["--output=a.b", "--resume"]
    stages = parse_stages(_train_parser(), [recipes / "first.yaml"], settings, others)
    assert (stages[0].data.repeat, stages[0].output, stages[0].resume) == (["sofa", "chair"], "a.b", True)


def _train_parser():
    parser = ArgumentParser(exit_on_error=False)
    add_recipe(parser)
    parser.add_argument("--output")
    parser.add_argument("--resume", action="store_true")
    return parser


def test_changes_lie_over_the_files_of_the_last_stage(recipes):
    changes = {"model": {"upsampler": "lau", "head_options": {}}, "schedule": {"steps": 9}}
    first, second = read_stages([recipes / "second.yaml"], {"optimizer.power": "1"}, changes)
    assert first == read_stages([recipes / "first.yaml"], {"optimizer.power": "1"})[0]
    assert second.model == ModelRecipe(backbone="test_resnet", output_stride=8, upsampler="lau")
    assert (second.schedule.steps, second.schedule.freeze_norm, second.optimizer.power) == (9, "all", 1.0)
    (recipes / "long.yaml").write_text("schedule: {epochs: 80}")
    assert read_stages([recipes / "long.yaml"], {}, changes)[-1].schedule.epochs is None


TOY = """
import sys
from pathlib import Path
from offstride.data.build import DATASETS, Source
from offstride.data import Streets

DATASETS["toy"] = Source(lambda root, split: Streets(3, (40, 56), 0, split))

from offstride.train import build_split
from offstride.train.reading import read_recipe

recipe = read_recipe(Path(sys.argv[1]))
print(recipe.data.name, len(build_split(recipe.data, "train")))
"""


def test_a_line_in_the_registry_makes_a_data_set_that_recipes_name(tmp_path):
    """In a process of its own: the names that recipes accept are those of the registry when `train` is imported."""
    (tmp_path / "toy.yaml").write_text("data: {name: toy, root: somewhere}")
    with pytest.raises(ValueError, match="toy"):
        read_recipe(tmp_path / "toy.yaml")
    command = [sys.executable, "-c", TOY, str(tmp_path / "toy.yaml")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["toy", "3"]
