"""Training in stages: each recipe starts from the final model of the one before."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from offstride.train.claim import claim
from offstride.train.fit import fit
from offstride.train.processes import cluster
from offstride.train.recipe import Recipe

BEFORE = "before"
"""Folder of a stage inside that of the next one."""


def fit_stages(recipes: Sequence[Recipe], directory: Path, *, resume: bool = False, title: str = "training") -> Path:
    """Train by several recipes, one after the other: DeepLabv3's output stride 16, then 8 with frozen normalisation.

    The last stage is kept in `directory`, the one before it in `directory/before`, the one before that in
    `directory/before/before`. Each but the first starts from `last.safetensors` of the one before, which replaces its
    `model.pretrained` and `model.start`: from the whole model, or from the parts in its `model.start_parts`.

    Args:
        recipes: In the order of training; at least one.
        directory: Where the last stage is kept.
        resume: Continue an interrupted run; finished stages are skipped.
        title: Name in the progress display.

    Returns:
        Path of the best model of the last stage.

    Raises:
        ValueError: As `fit` does, before anything is trained where a directory holds another run.
    """
    if not recipes:
        raise ValueError("recipes: expected at least one, got none")
    directories = [directory.joinpath(*[BEFORE] * later) for later in reversed(range(len(recipes)))]
    chain = [recipes[0]]
    for recipe, before in zip(recipes[1:], directories, strict=False):
        chain.append(replace(recipe, model=recipe.model.after(before / "last.safetensors")))
    cluster(recipes[0].schedule)
    for recipe, place in zip(chain, directories, strict=True):
        claim(place, recipe, resume=resume)
    for number, (recipe, place) in enumerate(zip(chain[:-1], directories, strict=False), 1):
        if not (place / "last.safetensors").exists():
            fit(recipe, place, resume=True, title=f"{title}, stage {number} of {len(chain)}")
    return fit(chain[-1], directory, resume=True, title=title)
