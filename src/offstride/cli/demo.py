"""`offstride demo`: bilinear and location-aware upsampling, trained side by side on procedural street scenes."""

from pathlib import Path

from jsonargparse import ArgumentParser

from offstride.cli.console import command_parser, progress_bar
from offstride.experiments.demo import BASELINE, run_demo


def main(program: str, arguments: list[str]) -> int:
    """Train both models, evaluate them and write the report."""
    values = _parser(program).parse_args(arguments)
    for contestant in run_demo(values.output, steps=values.steps, seed=values.seed, progress=progress_bar):
        scores = contestant.evaluation
        print(
            f"{contestant.name:9} mIoU {scores.scores.miou:.3f}  boundary IoU {scores.boundary.mean:.3f}  "
            f"thin classes {scores.thin_iou:.3f}"
        )
    print(f"report: {values.output / 'report.html'}")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Train a small network with bilinear and with location-aware upsampling (LaU) on procedural street scenes, "
        "from the same seed, and write a report with pictures. About four minutes on two cores.",
    )
    result.add_argument("--output", type=Path, default=Path("runs/demo"), help="folder for both runs and the report")
    result.add_argument("--steps", type=int, default=BASELINE.schedule.steps, help="iterations of each run")
    result.add_argument("--seed", type=int, default=0, help="random seed of weights, data order and augmentation")
    return result
