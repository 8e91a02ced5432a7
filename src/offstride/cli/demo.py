"""`offstride demo`: bilinear and location-aware upsampling, trained side by side on procedural street scenes."""

import json
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser

from offstride.cli.console import progress_bar, write_text
from offstride.cli.demo_report import Contestant, demo_report
from offstride.data import STREETS, SampleSet, Streets
from offstride.evaluate import evaluate
from offstride.losses import LossConfig
from offstride.models import Segmenter
from offstride.train import DataRecipe, ModelRecipe, OptimizerRecipe, Recipe, ScheduleRecipe, fit, read_history
from offstride.visualize import write_report

RARE = ("person", "pole", "sign")
"""Classes of so few pixels that a run of minutes would leave them out; the loss of both models counts them fourfold."""

BASELINE = Recipe(
    data=DataRecipe(name="streets", count=400, val_count=24, scale=(0.75, 1.5)),
    model=ModelRecipe(backbone="test_resnet", output_stride=8, head_options={"channels": 64}),
    loss=LossConfig(class_weights=[4.0 if name in RARE else 1.0 for name in STREETS.names]),
    optimizer=OptimizerRecipe(name="adamw", learning_rate=2e-3, head_multiplier=1, weight_decay=1e-2, warmup=20),
    schedule=ScheduleRecipe(steps=320, validate_every=80, checkpoint_every=100),
)
"""What both models share."""


def main(program: str, arguments: list[str]) -> int:
    """Train both models, evaluate them and write the report."""
    values = _parser(program).parse_args(arguments)
    schedule = replace(BASELINE.schedule, steps=values.steps, seed=values.seed)
    baseline = replace(BASELINE, schedule=schedule)
    located = replace(
        baseline,
        model=replace(baseline.model, upsampler="lau", upsampler_options={"scale": 8, "hidden": 64}),
        loss=replace(baseline.loss, location="regression"),
    )
    test = Streets(60, baseline.data.size, split="test")
    contestants = [
        _contest("Bilinear", baseline, values.output / "bilinear", test),
        _contest("LaU", located, values.output / "lau", test),
    ]
    page = values.output / "report.html"
    write_report(page, demo_report(contestants, baseline, test))
    figures = {each.name: each.evaluation.to_dict() for each in contestants}
    write_text(values.output / "scores.json", json.dumps(figures, indent=2) + "\n")
    for each in contestants:
        scores = each.evaluation
        print(
            f"{each.name:9} mIoU {scores.scores.miou:.3f}  boundary IoU {scores.boundary.mean:.3f}  "
            f"thin classes {scores.thin_iou:.3f}"
        )
    print(f"report: {page}")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        description="Train a small network with bilinear and with location-aware upsampling (LaU) on procedural street "
        "scenes, from the same seed, and write a report with pictures. About four minutes on two cores.",
        exit_on_error=False,
    )
    result.add_argument("--output", type=Path, default=Path("runs/demo"), help="folder for both runs and the report")
    result.add_argument("--steps", type=int, default=BASELINE.schedule.steps, help="iterations of each run")
    result.add_argument("--seed", type=int, default=0, help="of weights, data order and augmentation")
    return result


def _contest(name: str, recipe: Recipe, directory: Path, test: SampleSet) -> Contestant:
    """Train and evaluate one model; what an earlier, interrupted demo has trained is not trained again."""
    fit(recipe, directory, resume=True, title=name)
    model = Segmenter.load(directory / "last.safetensors")
    with progress_bar(f"evaluating {name}") as progress:
        evaluation = evaluate(model, test, progress=progress)
    history = {part: read_history(directory / f"{part}.csv") for part in ("train", "validation")}
    return Contestant(name, model, evaluation, history)
