"""`offstride finetune-upsampling`: train a new upsampler on a model whose other parts stay as they are."""

from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from offstride.cli.console import pick_device, progress_bar
from offstride.data import EvalTransform, SampleSet
from offstride.evaluate import Evaluation, evaluate
from offstride.losses import LossConfig
from offstride.models import Segmenter
from offstride.train import (
    DataRecipe,
    OptimizerRecipe,
    Recipe,
    ScheduleRecipe,
    build_model,
    build_split,
    fit,
    is_first_process,
    with_new_upsampler,
)

DEFAULTS = {
    "data.name": "folder",
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 1e-3,
    "optimizer.head_multiplier": 1.0,
    "schedule.steps": 500,
    "schedule.validate_every": 100,
    "schedule.train_parts": ["upsampler"],
}
ROUNDING = 1e-4
"""Largest difference of scores, as a share of their range, that is rounding."""


def main(program: str, arguments: list[str]) -> int:
    """Score the model as it is, train, and score what came out."""
    _refuse_model(arguments)
    parser = _parser(program)
    values = parser.instantiate(parser.parse_args(arguments))
    recipe = _recipe(values)
    val_set = build_split(recipe.data, "val")
    if is_first_process():
        Console(stderr=True).print(_start(recipe, values.checkpoint, val_set), highlight=False, soft_wrap=True)
    best = fit(recipe, values.output, resume=values.resume, title=f"fine-tuning {recipe.model.upsampler}")
    if is_first_process():
        files = {"before": values.checkpoint, "after": best}
        found = {name: _score(file, val_set, recipe) for name, file in files.items()}
        Console().print(_table(found, f"{recipe.data.name} {recipe.data.val}, best of the run by mIoU"))
        print(best)
    return 0


def _recipe(values: Namespace) -> Recipe:
    model = with_new_upsampler(values.checkpoint, values.upsampler, values.upsampler_options)
    if "upsampler" not in values.schedule.train_parts:
        raise ValueError(f"schedule.train_parts: expected the upsampler, got {', '.join(values.schedule.train_parts)}")
    return Recipe(values.data, model, values.loss, values.optimizer, values.schedule)


def _start(recipe: Recipe, checkpoint: Path, val_set: SampleSet) -> str:
    """What will be trained, and how far the scores of an image are from the original's at first."""
    original, model = Segmenter.load(checkpoint), build_model(recipe, val_set.classes).eval()
    image = EvalTransform(model.mean, model.std)(val_set[0])[0][None]
    with torch.no_grad():
        expected = original(image)
        difference = (model(image) - expected).abs().max()
    settings = ", ".join(f"{name}={value!r}" for name, value in recipe.model.upsampler_options.items())
    trained = sum(parameter.numel() for parameter in model.upsampler.parameters())
    equal = difference <= ROUNDING * (expected.max() - expected.min())
    return (
        f"upsampler  {recipe.model.upsampler}({settings}), {trained:,} parameters, in place of "
        f"{original.config.upsampler}; all else is frozen\n"
        f"at start   {'equals' if equal else 'differs from'} the original (largest difference {difference:.1e})"
    )


def _score(path: Path, val_set: SampleSet, recipe: Recipe) -> Evaluation:
    device = pick_device("cpu" if recipe.schedule.accelerator == "cpu" else "auto")
    with progress_bar("scoring") as progress:
        return evaluate(Segmenter.load(path).to(device), val_set, workers=recipe.data.workers, progress=progress)


def _table(found: dict[str, Evaluation], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("", *found, "difference"):
        table.add_column(heading, justify="right" if heading else "left")
    measures = {"mIoU": "miou", "boundary IoU": "boundary_iou", "pixel accuracy": "pixel_accuracy"}
    for name, key in measures.items():
        before, after = (100 * (result.to_dict()[key] or 0.0) for result in found.values())
        table.add_row(name, f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}")
    return table


def _refuse_model(arguments: list[str]) -> None:
    for word in arguments:
        if word.startswith("--model."):
            raise ValueError(f"{word.partition('=')[0]}: expected no settings of the model, which is the checkpoint's")


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        usage=f"{program} CHECKPOINT [--upsampler NAME] --data.root FOLDER --output FOLDER [--SECTION.SETTING VALUE]",
        description="Train a new upsampler on a model whose backbone, head and classifier stay as they are, batch "
        "statistics included. In place of bilinear upsampling, lau, dysample and deformable start as that. Prints "
        "scores on the val split before and after. A run that was stopped goes on with --resume.",
        exit_on_error=False,
    )
    result.add_argument("checkpoint", type=Path, help="model file (.safetensors)")
    result.add_argument("--upsampler", default="lau", help="name of the upsampler")
    result.add_argument("--upsampler-options", type=dict[str, Any], default={}, help="its options, as YAML or JSON")
    result.add_argument("--output", type=Path, required=True, help="directory of the run")
    result.add_argument("--resume", action="store_true", help="go on with the run that the directory holds")
    for name, section in (("data", DataRecipe), ("loss", LossConfig), ("optimizer", OptimizerRecipe)):
        result.add_class_arguments(section, name)
    result.add_class_arguments(ScheduleRecipe, "schedule")
    result.set_defaults(DEFAULTS)
    return result
