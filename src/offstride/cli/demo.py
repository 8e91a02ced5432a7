"""`offstride demo`: a small network is trained on procedural street scenes and sharpened without training."""

from pathlib import Path

from jsonargparse import ArgumentParser

from offstride.cli.console import command_parser, progress_bar
from offstride.cli.sharpen import show_report
from offstride.experiments.demo import BASELINE, run_demo
from offstride.experiments.sharpening.sharpening import PAGE


def main(program: str, arguments: list[str]) -> int:
    """Train, sharpen, evaluate and write the report."""
    values = _parser(program).parse_args(arguments)
    show_report(run_demo(values.output, steps=values.steps, seed=values.seed, progress=progress_bar))
    print(values.output / PAGE)
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Train a small network on procedural street scenes, sharpen it with the universal upsampler without one step "
        "of training, and write a report with pictures. Beside it, a network that was trained with another upsampler. "
        "About four minutes on two cores.",
    )
    result.add_argument("--output", type=Path, default=Path("runs/demo"), help="folder for both runs and the report")
    result.add_argument("--steps", type=int, default=BASELINE.schedule.steps, help="iterations of each run")
    result.add_argument("--seed", type=int, default=0, help="random seed of weights, data order and augmentation")
    return result
