"""Every recipe is parsed and its model built; every kind of training is run for two steps on a tiny tree in the layout
of its data set; and the overview of all recipes is up to date.

Trainings that differ in numbers alone are one kind; a kind of data is not run with every kind of model, but each with
some other. `tiny_recipes` says what is replaced by something smaller.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from PIL import Image

from official_trees import write_tree
from offstride.data import CAMVID
from offstride.data.registry import OFFICIAL
from offstride.experiments.overview import readme
from offstride.experiments.tables import PaperTable, read_tables
from offstride.models import PRESETS, create_model
from offstride.train import fit_stages
from offstride.train.reading import read_stages
from offstride.train.recipe_file import load_recipe_file, training_chain
from tiny_recipes import skeleton, tiny

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).parents[1] / "recipes"
PAPERS = {
    "lau": ["1", "2", "3a", "3b", "4", "5", "6", "7", "8"],
    "dupsampling": ["1", "2", "3", "4", "5", "6", "fig5"],
    "deeplabv3": [str(number) for number in range(1, 14)],
    "gff": [str(number) for number in range(1, 11)],
}
_NOT_BUILT = ("pretrained", "auxiliary", "start_parts")
OURS = sorted((RECIPES / "camvid").glob("*.yaml"))


@cache
def tables() -> list[PaperTable]:
    return read_tables(RECIPES)


@cache
def trainings() -> list[Path]:
    """Files of all trainings."""
    files = {row.file.training for table in tables() for row in table.rows if row.file is not None}
    papers = [path for paper in PAPERS for path in (RECIPES / paper).glob("*/*.yaml")]
    first = {path for path in papers if "table" not in path.read_text()}  # of several in a row
    return [*sorted(files | first), *OURS]


def kinds() -> list[str]:
    """Files of trainings that cover all kinds of data, and all kinds of everything else."""
    seen: set[str] = set()
    names = []
    for chain in sorted(map(training_chain, trainings()), key=len, reverse=True):
        keys = {f"{len(chain)} trainings one after another"}
        for stage in chain:
            others = {name: section for name, section in stage.recipe.items() if name != "data"}
            keys |= {json.dumps(skeleton(part), sort_keys=True) for part in (stage.recipe["data"], others)}
        if not keys <= seen:
            names.append(str(chain[-1].path.relative_to(RECIPES)))
        seen |= keys
    return names


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """Folder of a tiny data set by its name, written when it is first asked for."""
    root = tmp_path_factory.mktemp("trees")

    @cache
    def tree(name: str) -> Path:
        return _write_camvid(root / name) if name == "camvid" else write_tree(name, root / name, count=2)

    return tree


def _write_camvid(root: Path) -> Path:
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True)
        for index in range(2):
            pixels = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / split / f"{index}.jpg")
            labels = random.choice(CAMVID.values + CAMVID.ignore_values, (60, 80)).astype(np.uint8)
            Image.fromarray(labels).save(root / "labels" / split / f"{index}.png")
    (root / "classes.json").write_text(json.dumps(CAMVID.to_dict()))
    return root


def test_there_are_all_tables():
    assert sorted(table.name for table in tables()) == sorted(f"{p}/{n}" for p, names in PAPERS.items() for n in names)


def test_every_recipe_file_is_in_a_list_or_below_one_that_is():
    rows = [row.file for table in tables() for row in table.rows if row.file is not None]
    assert len({file.path for file in rows}) == len(rows)
    listed = {file.path for file in rows}
    with_row = {path.resolve() for path in RECIPES.rglob("*.yaml") if "\ntable:" in path.read_text()}
    assert listed == with_row


def test_a_row_says_what_its_figures_take():
    for table in tables():
        for row in table.rows:
            assert row.published, f"{table.name}: {row.text}"
            needs_other = any(name.startswith(("extra_", "relative_")) for name in row.published)
            assert row.file is None or row.against is not None or not needs_other
            if row.measure == "upper-bound":
                assert row.file is not None
                assert {"decoder", "scale"} <= row.file.evaluate["learned_bound"].keys()


def test_every_recipe_is_read_and_every_model_that_is_no_preset_built():
    """`test_presets` builds the presets; an auxiliary head on `layer3` is all that a recipe may add to one here."""
    done = [json.dumps(preset.config, sort_keys=True) for preset in PRESETS.values()]
    for path in trainings():
        recipe = read_stages([path])[-1]
        settings = load_recipe_file(path).recipe["model"]
        settings = {key: value for key, value in settings.items() if key not in _NOT_BUILT}
        if (known := json.dumps(settings, sort_keys=True)) in done:
            continue
        done.append(known)
        classes = len(CAMVID if recipe.data.name == "camvid" else OFFICIAL[recipe.data.name].classes)
        with torch.device("meta"):
            model = create_model(classes=classes, **recipe.model.settings())
        assert model.config.classes == classes


@pytest.mark.parametrize("name", kinds())
def test_it_trains(name, trees, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    smp.FPN("tu-test_resnet", encoder_weights=None, classes=len(CAMVID)).save_pretrained("runs/smp/FPN")
    small = [tiny(stage, trees(stage.data.name)) for stage in read_stages([RECIPES / name])]
    fit_stages(small, tmp_path / "run")
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_files_of_our_own_comparisons_can_be_laid_over_each_other():
    files = [RECIPES / "camvid" / name for name in ("bilinear.yaml", "lau.yaml", "sgd.yaml")]
    recipe = read_stages(files)[-1]
    assert (recipe.model.upsampler, recipe.optimizer.name, recipe.schedule.steps) == ("lau", "sgd", 1200)
    assert read_stages(files[1:]) == [recipe]


@pytest.mark.parametrize("study", ["lau", "beyond"])
def test_methods_of_our_studies_build(study):
    shared = RECIPES / "studies" / "lau" / "shared.yaml"
    methods = sorted((RECIPES / "studies" / study).glob("*.yaml"))
    assert len(methods) > 3
    for path in methods:
        recipe = read_stages([shared, path])[-1]
        with torch.device("meta"):
            create_model(classes=11, **recipe.model.settings())
    assert read_stages([RECIPES / "crackforest" / "compare.yaml"])[-1].loss.class_weights == [1.0, 10.0]


def test_the_overview_is_up_to_date():
    """After a change to recipes or results: `offstride table --readme`."""
    assert (RECIPES / "README.md").read_text() == readme(RECIPES)


def test_rows_with_one_training_share_it():
    by_name = {str(path.relative_to(RECIPES)): load_recipe_file(path) for path in RECIPES.glob("deeplabv3/[46]/*.yaml")}
    aspp = RECIPES / "deeplabv3" / "5" / "grid_124_pooling.yaml"
    assert {by_name[f"deeplabv3/6/{name}.yaml"].training for name in ("os16", "os8", "os8_ms")} == {aspp.resolve()}
    assert by_name["deeplabv3/6/os8_ms_flip.yaml"].evaluate["flip"] is True
