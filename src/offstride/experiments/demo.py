"""The demo: bilinear and location-aware upsampling, trained side by side on procedural street scenes."""

import json
from dataclasses import replace
from pathlib import Path

from offstride.data import STREETS, SampleSet, Streets
from offstride.evaluate import evaluate
from offstride.experiments.demo_report import DemoModel, demo_report
from offstride.experiments.store import LAST, Progress, no_progress
from offstride.files import write_text
from offstride.losses import LossConfig
from offstride.models import Segmenter
from offstride.train import DataRecipe, ModelRecipe, OptimizerRecipe, Recipe, ScheduleRecipe, fit, read_history
from offstride.visualize import write_report

RARE = ("person", "pole", "sign")
"""Classes of so few pixels that a short run would never predict them; both losses give them four times the weight."""

BASELINE = Recipe(
    data=DataRecipe(name="streets", count=400, val_count=24, scale=(0.75, 1.5)),
    model=ModelRecipe(backbone="test_resnet", output_stride=8, head_options={"channels": 64}),
    loss=LossConfig(class_weights=[4.0 if name in RARE else 1.0 for name in STREETS.names]),
    optimizer=OptimizerRecipe(name="adamw", learning_rate=2e-3, head_multiplier=1, weight_decay=1e-2, warmup=20),
    schedule=ScheduleRecipe(steps=320, validate_every=80, checkpoint_every=100),
)
"""Settings of both models."""


def run_demo(output: Path, *, steps: int, seed: int = 0, progress: Progress = no_progress) -> list[DemoModel]:
    """Train both models, evaluate them, and write `report.html` and `scores.json`.

    Args:
        output: Folder for both runs and the report; an interrupted demo in it is continued.
        steps: Iterations of each run.
        seed: Random seed of weights, data order and augmentation.
        progress: Progress bars of the evaluation.

    Raises:
        ValueError: If the folder holds runs with other settings.
    """
    baseline = replace(BASELINE, schedule=replace(BASELINE.schedule, steps=steps, seed=seed))
    learned = replace(
        baseline,
        model=replace(baseline.model, upsampler="lau", upsampler_options={"scale": 8, "hidden": 64}),
        loss=replace(baseline.loss, location="regression"),
    )
    test = Streets(60, baseline.data.size, split="test")
    contestants = [
        _contest("Bilinear", baseline, output / "bilinear", test, progress),
        _contest("LaU", learned, output / "lau", test, progress),
    ]
    write_report(output / "report.html", demo_report(contestants, baseline, test))
    figures = {contestant.name: contestant.evaluation.to_dict() for contestant in contestants}
    write_text(output / "scores.json", json.dumps(figures, indent=2) + "\n")
    return contestants


def _contest(name: str, recipe: Recipe, directory: Path, test: SampleSet, progress: Progress) -> DemoModel:
    """Train and evaluate one model."""
    fit(recipe, directory, resume=True, title=name)
    model = Segmenter.load(directory / LAST)
    with progress(f"evaluating {name}") as report:
        evaluation = evaluate(model, test, progress=report)
    history = {part: read_history(directory / f"{part}.csv") for part in ("train", "validation")}
    return DemoModel(name, model, evaluation, history)
