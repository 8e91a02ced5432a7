"""`offstride compare`: several upsamplers, the same budget, several seeds, one report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from offstride.cli.console import announce, columns, command_parser, pick_device, progress_bar, simple_table
from offstride.cli.model import add_missing, missing_of
from offstride.cli.protocol import add_protocol, protocol_of
from offstride.compare import Resampling
from offstride.data import build_dataset
from offstride.experiments.contest import Contest
from offstride.experiments.files import read_files
from offstride.experiments.report import Scoring, report
from offstride.experiments.store import Store
from offstride.experiments.variants import VARIANTS, read_variant
from offstride.train.reading import split_settings

DEFAULT = "bilinear,pixel_shuffle,transposed,dupsampling,carafe,dysample,lau,lau+off,lau+reg"


def main(program: str, arguments: list[str]) -> int:
    """Train what is missing, score it, and report; or score and report on models."""
    named, words = split_settings(arguments)
    settings = dict(named)
    values = _parser(program).parse_args(words)
    _check(values, settings)
    resampling = Resampling(values.level, values.resamples, values.block)
    how = {"thin": values.thin, "rounds": values.rounds, "output_stride": values.output_stride}
    scoring = Scoring(values.split, protocol_of(values), resampling, **how)
    store = Store(values.output, pick_device(values.device), announce, progress_bar, missing_of(values))
    if values.checkpoints:
        dataset = build_dataset(values.data, values.split, root=values.root)
        contestants = read_files(values.checkpoints, dataset, scoring, store)
        content = report(contestants, dataset, scoring, store, name=values.data)
    else:
        variants = [read_variant(word) for word in values.upsamplers.split(",")]
        contest = Contest(variants, values.seeds, settings, values.recipe, scoring, store, values.model)
        contest.check()
        if values.dry_run:
            Console().print(_plan(contest))
            return 0
        if not values.no_run:
            contest.run()
        if values.train_only:
            return 0
        content = contest.report()
    Console().print(_summary(content))
    print(values.output / "report.html")
    return 0


def _parser(program: str) -> ArgumentParser:
    result = command_parser(
        program,
        "Train models that differ only in the upsampler, several times each, and report which differences are "
        "significant; or report on trained models. The first method is the baseline. Finished runs are skipped, "
        f"interrupted ones resumed. Named methods: {', '.join(VARIANTS)}.",
        f"{program} --recipe RECIPE … [options] [--SECTION.SETTING VALUE …]\n"
        f"       {program} --checkpoints NAME=MODEL … --data NAME --root FOLDER [options]",
    )
    result.add_argument("--recipe", type=Path, nargs="+", default=[], help="recipe files shared by all methods")
    result.add_argument(
        "--upsamplers", default=DEFAULT, help="comma-separated names, or recipe files that override the shared recipe"
    )
    result.add_argument("--seeds", type=int, default=3, help="number of seeds (0, 1, 2 …) for each method")
    result.add_argument("--model", default="last", choices=("last", "best"), help="which model of a run is scored")
    result.add_argument("--checkpoints", nargs="+", default=[], metavar="NAME=MODEL", help="report on models")
    add_missing(result)
    result.add_argument("--data", default="folder", help="with --checkpoints: name of the data set")
    result.add_argument("--root", type=Path | None, help="with --checkpoints: its folder")
    result.add_argument("--output", type=Path, default=Path("runs/compare"), help="folder of runs and report")
    result.add_argument("--split", default="val", help="split that is scored")
    result.add_argument("--thin", nargs="+", default=[], help="thin classes (default: those of the data set)")
    result.add_argument("--level", type=float, default=0.95, help="confidence level of the intervals")
    result.add_argument("--resamples", type=int, default=2000, help="number of bootstrap resamples")
    result.add_argument("--block", type=int, default=1, help="consecutive images in a bootstrap block, for videos")
    result.add_argument("--rounds", type=int, default=20, help="timed predictions of each model; 0 skips timing")
    result.add_argument("--device", default="auto", help="device of scoring and, besides the CPU, of timing")
    result.add_argument("--train-only", action="store_true", help="train and score the missing runs; write no report")
    result.add_argument("--no-run", action="store_true", help="report existing runs; run nothing")
    result.add_argument("--dry-run", action="store_true", help="show what would be run")
    add_protocol(result)
    return result


def _check(values: Namespace, settings: dict[str, str]) -> None:
    if bool(values.recipe) == bool(values.checkpoints):
        raise ValueError("recipe: expected either --recipe or --checkpoints")
    if values.checkpoints and settings:
        raise ValueError(f"checkpoints: cannot be combined with settings of training, got {', '.join(settings)}")
    if values.seeds < 1:
        raise ValueError(f"seeds: expected 1 or more, got {values.seeds}")
    if "schedule.seed" in settings:
        raise ValueError("schedule.seed: expected --seeds instead")
    if values.rounds < 0:
        raise ValueError(f"rounds: expected 0 or more, got {values.rounds}")


def _plan(contest: Contest) -> Table:
    seeds = [f"seed {seed}" for seed in range(contest.seeds)]
    result = simple_table("to do", *columns("upsampler", "what it is", *seeds, overflow="fold"))
    for variant in contest.variants:
        states = [contest.to_do(variant, seed) for seed in range(contest.seeds)]
        result.add_row(variant.name, variant.description, *states)
    return result


def _summary(content: Mapping[str, Any]) -> Table:
    """Scores in per cent and paired differences, for the terminal."""
    table = simple_table(content["title"], *columns("upsampler", no_wrap=True), caption_justify="left")
    for metric in content["metrics"]:
        table.add_column(metric.replace("_", " ").replace("miou", "mIoU").replace("iou", "IoU"), justify="right")
        table.add_column("difference", justify="right", no_wrap=True)
    for entry in content["entries"]:
        cells = []
        for metric in content["metrics"]:
            figure = entry["scores"][metric]
            cells += [_percent(figure), _difference(figure["difference"])]
        table.add_row(entry["name"], *cells)
    sure = f"neither the {content['level']:.0%} interval over images nor that over seeds holds 0"
    lines = [f"differences to {content['baseline']}; * {sure}"]
    lines += [f"missing: {', '.join(content['missing'])}"] if content["missing"] else []
    table.caption = "\n".join(lines)
    return table


def _percent(figure: Mapping[str, Any]) -> str:
    if figure["mean"] is None:
        return "–"
    spread = f" ± {100 * figure['sd']:.1f}" if figure["sd"] is not None else ""
    return f"{100 * figure['mean']:.1f}{spread}"


def _difference(difference: Mapping[str, Any] | None) -> str:
    if difference is None or difference["mean"] is None:
        return ""
    return f"{100 * difference['mean']:+.1f}{'*' if difference['clear'] else ' '}".replace("-", "−")
