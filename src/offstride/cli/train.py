"""`offstride train`: recipes in YAML, any setting overridden on the command line."""

from pathlib import Path

from jsonargparse import (
    ActionConfigFile,  # pyright: ignore[reportPrivateImportUsage]
    ArgumentParser,
)

from offstride.cli.console import command_parser
from offstride.train import fit_stages, is_first_process
from offstride.train.reading import add_recipe, parse_stages, split_arguments, split_settings, to_recipe


def main(program: str, arguments: list[str]) -> int:
    """Train; recipe files that come first need no `--recipe`."""
    files, words = split_arguments(arguments)
    stages = parse_stages(_parser(program), files, *split_settings(words))
    last = stages[-1]
    best = fit_stages([to_recipe(stage) for stage in stages], last.output, resume=last.resume)
    if is_first_process():
        print(best)
    return 0


def _parser(program: str) -> ArgumentParser:
    parser = command_parser(
        program,
        "Train a model from a recipe. --resume continues a run that was stopped in whatever way. Settings on the "
        "command line apply to all stages of a recipe that names an earlier one (`after`). --model.preset NAME uses "
        "the settings of a published model (`offstride models`).",
        f"{program} [RECIPE …] --output DIRECTORY [--resume] [--SECTION.SETTING VALUE …]",
    )
    parser.add_argument("--recipe", action=ActionConfigFile, help="YAML file; later files override earlier ones")
    add_recipe(parser)
    parser.add_argument("--output", type=Path, required=True, help="directory of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in this directory")
    return parser
