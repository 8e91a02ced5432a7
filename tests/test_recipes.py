"""Every recipe is parsed, built and run for two steps on a tiny tree in its data set's layout."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offstride.cli.main import main
from offstride.data import CAMVID

RECIPES = Path(__file__).parents[1] / "recipes"
CAMVID_BASE, PSP = "camvid/bilinear.yaml", "camvid/psp.yaml"
OVERLAYS = {
    "camvid/lau.yaml": [CAMVID_BASE],
    "camvid/sgd.yaml": [CAMVID_BASE],
    PSP: [CAMVID_BASE],
    "camvid/psp_gff_dfp.yaml": [CAMVID_BASE, PSP],
    "camvid/aspp_lau.yaml": [CAMVID_BASE, PSP],
}
"""Recipes that are laid over others."""


@pytest.fixture
def camvid(tmp_path):
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder in ("images", "labels"):
            (tmp_path / "camvid" / folder / split).mkdir(parents=True)
        for index in range(2):
            pixels = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "camvid" / "images" / split / f"{index}.jpg")
            labels = random.choice(CAMVID.values + CAMVID.ignore_values, (60, 80)).astype(np.uint8)
            Image.fromarray(labels).save(tmp_path / "camvid" / "labels" / split / f"{index}.png")
    (tmp_path / "camvid" / "classes.json").write_text(json.dumps(CAMVID.to_dict()))
    return tmp_path / "camvid"


def test_every_recipe_is_known_here():
    found = {str(path.relative_to(RECIPES)) for path in RECIPES.rglob("*.yaml")}
    assert found == {CAMVID_BASE, *OVERLAYS}


@pytest.mark.parametrize("name", [CAMVID_BASE, *OVERLAYS])
def test_recipe_runs(name, camvid, tmp_path):
    files = [str(RECIPES / file) for file in (*OVERLAYS.get(name, ()), name)]
    less = ["--schedule.steps=2", "--schedule.batch_size=2", "--data.crop=[48,64]", "--data.workers=0"]
    where = [f"--data.root={camvid}", "--schedule.accelerator=cpu", "--output", str(tmp_path / "run")]
    assert main(["train", *files, *less, *where]) == 0
    assert (tmp_path / "run" / "best.safetensors").exists()
