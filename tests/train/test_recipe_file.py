"""Files laid over each other, trainings one after another, rows that share a training; and what is wrong with them."""

from pathlib import Path

import pytest

from offstride.train.recipe_file import load_recipe_file, training_chain


def resolved(path: Path) -> dict:
    return load_recipe_file(path).recipe


@pytest.fixture
def write(tmp_path):
    def written(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path

    return written


def test_a_file_lies_over_its_bases_setting_by_setting(write):
    root = write(
        low="data: {crop: [1, 2], flip: 0.0}\nmodel: {head: psp, head_options: {channels: 8}}",
        mid="base: low.yaml\ndata: {flip: 1.0}",
        rows__top="base: [../mid.yaml]\nmodel: {head_options: {}}\nschedule: {steps: 3}",
    )
    assert resolved(root / "rows" / "top.yaml") == {
        "data": {"crop": [1, 2], "flip": 1.0},
        "model": {"head": "psp", "head_options": {}},
        "schedule": {"steps": 3},
    }


def test_a_file_that_several_stand_on_is_laid_once(write):
    root = write(
        low="model: {upsampler: bilinear}\nschedule: {steps: 1}",
        lau="base: low.yaml\nmodel: {upsampler: lau}",
        long="base: low.yaml\nschedule: {steps: 9}",
        both="base: [lau.yaml, long.yaml]",
    )
    expected = {"model": {"upsampler": "lau"}, "schedule": {"steps": 9}}
    assert resolved(root / "both.yaml") == expected
    assert load_recipe_file(root / "lau.yaml", root / "long.yaml").recipe == expected
    assert load_recipe_file(root / "low.yaml", root / "lau.yaml", root / "long.yaml").recipe == expected


def test_settings_of_a_preset_can_be_replaced_even_by_what_is_the_default_elsewhere(write):
    root = write(
        low="model: {preset: pspnet_resnet18, pretrained: true}", top="base: low.yaml\nmodel: {output_stride: 16}"
    )
    expected = {"backbone": "resnet18", "head": "psp", "auxiliary": "layer3", "output_stride": 16, "pretrained": True}
    assert resolved(root / "top.yaml")["model"] == expected
    (root / "none.yaml").write_text("model: {preset: null, head: psp}")
    assert resolved(root / "none.yaml") == {"model": {"head": "psp"}}


def test_what_is_trained_first_ends_the_parts_taken_over_in_the_files_below(write):
    root = write(
        first="model: {head: psp}",
        second="base: first.yaml\nafter: first.yaml\nmodel: {fusion: gff, start_parts: [backbone, head]}",
        third="base: second.yaml\nafter: second.yaml\nschedule: {steps: 3}",
        fourth="base: third.yaml\nafter: third.yaml\nmodel: {start_parts: [backbone]}",
        laid="base: second.yaml\nschedule: {steps: 3}",
    )
    parts = {name: resolved(root / f"{name}.yaml")["model"].get("start_parts") for name in ("third", "fourth", "laid")}
    assert parts == {"third": None, "fourth": ["backbone"], "laid": ["backbone", "head"]}


def test_trainings_one_after_another_and_rows_that_share_one(write):
    root = write(
        first="data: {name: streets}",
        second="base: first.yaml\nafter: first.yaml\nevaluate: {scales: [1, 2]}\ntable: {id: a/1, row: one}",
        rows__third="same: ../second.yaml\nevaluate: {flip: true}\ntable: {id: a/1, row: two}",
        rows__fourth="same: third.yaml",
    )
    third, fourth = (load_recipe_file(root / "rows" / f"{name}.yaml") for name in ("third", "fourth"))
    assert (third.recipe, third.after) == ({"data": {"name": "streets"}}, root / "first.yaml")
    assert third.evaluate == fourth.evaluate == {"scales": [1, 2], "flip": True}
    assert (third.table, fourth.table) == ({"id": "a/1", "row": "two"}, {})
    assert third.training == fourth.training == root / "second.yaml"
    assert [each.path.name for each in training_chain(root / "rows" / "third.yaml")] == ["first.yaml", "third.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: gone.yaml", r"gone\.yaml, which .*top\.yaml names, cannot be read: No such file"),
        ("after: gone.yaml", r"gone\.yaml cannot be read"),
        ("same: gone.yaml", r"gone\.yaml, which .*top\.yaml names"),
        ("datta: {}", r"top\.yaml: unknown datta; known are data, model"),
        ("data: {crops: 3}", r"top\.yaml: data: unknown crops; known are name, root"),
        ("evaluate: {flips: true}", r"top\.yaml: evaluate: unknown flips"),
        ("table: {columns: 3}", r"top\.yaml: table: unknown columns"),
        ("data: 3", r"top\.yaml: data: expected names and values, got 3"),
        ("[1, 2]", r"top\.yaml: expected names and values"),
        ("data: {", r"top\.yaml: expected YAML"),
        ("base: {}", r"top\.yaml: base: expected the path of a recipe file, got {}"),
        ("same: low.yaml\ndata: {}", r"top\.yaml: expected evaluate and table alone beside same, got data"),
        ("model: {preset: pspnet_resnet19}", r"top\.yaml: .*got 'pspnet_resnet19'; close: pspnet_resnet1"),
        ("base: top.yaml", r"base: .*top\.yaml → .*top\.yaml is a circle"),
        ("base: loop.yaml", r"base: .*top\.yaml → .*loop\.yaml → .*top\.yaml is a circle"),
        ("after: top.yaml", r"after: .*top\.yaml → .*top\.yaml is a circle"),
        ("after: later.yaml", r"after: .*top\.yaml → .*later\.yaml → .*top\.yaml is a circle"),
    ],
)
def test_what_is_wrong_is_named(write, text, message):
    root = write(top=text, low="{}", loop="base: top.yaml", later="after: top.yaml")
    with pytest.raises(ValueError, match=message):
        load_recipe_file(root / "top.yaml")


def test_an_empty_file_is_a_recipe_of_defaults(write):
    assert resolved(write(top="") / "top.yaml") == {}


def test_steps_end_the_epochs_of_the_files_below(tmp_path):
    (tmp_path / "long.yaml").write_text("schedule: {epochs: 80, batch_size: 16}\n")
    (tmp_path / "short.yaml").write_text("base: long.yaml\nschedule: {steps: 30}\n")
    (tmp_path / "both.yaml").write_text("base: long.yaml\nschedule: {steps: 30, epochs: 2}\n")
    assert load_recipe_file(tmp_path / "short.yaml").recipe["schedule"] == {"batch_size": 16, "steps": 30}
    assert load_recipe_file(tmp_path / "both.yaml").recipe["schedule"]["epochs"] == 2
