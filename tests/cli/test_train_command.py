"""`offstride train`: recipe files, what is laid over them, and what is trained first."""

import pytest
import yaml

from offstride.cli.main import main

TINY = {
    "data": {"name": "streets", "count": 3, "val_count": 1, "size": [40, 56], "crop": [32, 32], "workers": 0},
    "model": {"backbone": "test_resnet", "head_options": {"channels": 8}},
    "schedule": {"steps": 2, "batch_size": 2, "accelerator": "cpu"},
}


@pytest.fixture
def recipes(tmp_path):
    (tmp_path / "first.yaml").write_text(yaml.safe_dump(TINY))
    second = {
        "base": "first.yaml",
        "after": "first.yaml",
        "model": {"output_stride": 8},
        "schedule": {"freeze_norm": "all"},
    }
    (tmp_path / "second.yaml").write_text(yaml.safe_dump(second))
    return tmp_path


def test_a_recipe_after_another_is_trained_second(recipes, capsys):
    output = recipes / "run"
    command = ["train", str(recipes / "second.yaml"), "--output", str(output), "--schedule.steps", "1"]
    assert main(command) == 0
    assert capsys.readouterr().out == f"{output / 'best.safetensors'}\n"
    first, second = (yaml.safe_load((place / "recipe.yaml").read_text()) for place in (output / "before", output))
    assert [recipe["model"]["output_stride"] for recipe in (first, second)] == [16, 8]
    assert [recipe["schedule"]["freeze_norm"] for recipe in (first, second)] == ["none", "all"]
    assert [recipe["schedule"]["steps"] for recipe in (first, second)] == [1, 1]
    assert [recipe["model"]["start"] for recipe in (first, second)] == [None, str(output / "before/last.safetensors")]
    assert main(command) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schedule: {batch_size: 6, accumulate: 4}", "batch_size: expected a multiple of the 4 parts"),
        ("data: {name: imagenet}", "imagenet"),
        ("optimizer: {learning_rate: fast}", "fast"),
        ("loss: {labels: half}", "half"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_one_line(tmp_path, capsys, text, said):
    (tmp_path / "a.yaml").write_text(text)
    assert main(["train", str(tmp_path / "a.yaml"), "--output", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
