"""`offstride finetune-upsampling`: train a new upsampler on an otherwise frozen model."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from offstride.cli.console import announce, columns, command_parser, pick_device, progress_bar
from offstride.cli.model import add_model, missing_of
from offstride.data import SampleSet
from offstride.evaluate import Evaluation, evaluate
from offstride.models import BaseSegmenter
from offstride.train import Recipe, build_split, fit, is_first_process, with_new_upsampler
from offstride.train.finetune import describe_start, original_model
from offstride.train.reading import to_recipe
from offstride.train.recipe_file import SECTIONS

DEFAULTS = {
    "data.name": "folder",
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 1e-3,
    "optimizer.head_multiplier": 1.0,
    "schedule.steps": 500,
    "schedule.validate_every": 100,
    "schedule.train_parts": ["upsampler"],
}


def main(program: str, arguments: list[str]) -> int:
    """Score the model, train the upsampler, and score the result."""
    for word in arguments:
        if word.startswith("--model."):
            name = word.partition("=")[0]
            raise ValueError(f"{name}: expected no settings of the model; they come from the model itself")
    parser = _parser(program)
    values = parser.instantiate(parser.parse_args(arguments))
    missing = missing_of(values)
    model = with_new_upsampler(values.checkpoint, values.upsampler, values.upsampler_options, missing)
    if "upsampler" not in values.schedule.train_parts:
        raise ValueError(f"schedule.train_parts: expected the upsampler, got {', '.join(values.schedule.train_parts)}")
    recipe = to_recipe(values, model=model)
    val_set = build_split(recipe.data, "val")
    if is_first_process():
        announce(describe_start(recipe, values.checkpoint, val_set, missing))
    best = fit(recipe, values.output, resume=values.resume, title=f"fine-tuning {recipe.model.upsampler}")
    if is_first_process():
        models = {"before": original_model(values.checkpoint, missing), "after": original_model(best, {})}
        scores = {name: _score(model, val_set, recipe) for name, model in models.items()}
        Console().print(_table(scores, f"{recipe.data.name} {recipe.data.val}, best of the run by mIoU"))
        print(best)
    return 0


def _score(model: BaseSegmenter, val_set: SampleSet, recipe: Recipe) -> Evaluation:
    device = pick_device("cpu" if recipe.schedule.accelerator == "cpu" else "auto")
    with progress_bar("scoring") as progress:
        return evaluate(model.to(device), val_set, workers=recipe.data.workers, progress=progress)


def _table(scores: dict[str, Evaluation], title: str) -> Table:
    table = Table("", *columns(*scores, "difference", justify="right"), title=title, title_justify="left")
    measures = {"mIoU": "miou", "boundary IoU": "boundary_iou", "pixel accuracy": "pixel_accuracy"}
    for name, key in measures.items():
        before, after = (100 * (result.to_dict()[key] or 0.0) for result in scores.values())
        table.add_row(name, f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}")
    return table


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Train a new upsampler on a frozen model: backbone, head, classifier and batch statistics do not change. If it "
        "replaces bilinear upsampling, lau, dysample and deformable initially give the same output. Prints scores on "
        "the val split before and after. --resume continues a run that was stopped.",
        f"{program} MODEL [--upsampler NAME] --data.root FOLDER --output FOLDER [--SECTION.SETTING VALUE]",
    )
    add_model(result, "checkpoint", metavar="MODEL")
    result.add_argument("--upsampler", default="lau", help="name of the upsampler")
    result.add_argument("--upsampler-options", type=dict[str, Any], default={}, help="its options, as YAML or JSON")
    result.add_argument("--output", type=Path, required=True, help="directory of the run")
    result.add_argument("--resume", action="store_true", help="continue the run in this directory")
    for name in ("data", "loss", "optimizer", "schedule"):
        result.add_class_arguments(SECTIONS[name], name)
    result.set_defaults(DEFAULTS)
    return result
