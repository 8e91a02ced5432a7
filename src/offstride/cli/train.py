"""`offstride train`: recipes in YAML, any setting overridden on the command line."""

from pathlib import Path

from jsonargparse import (
    ActionConfigFile,  # pyright: ignore[reportPrivateImportUsage]
    ArgumentParser,
)

from offstride.train import fit_stages, is_first_process
from offstride.train.reading import add_recipe, parse_stages, split_arguments, split_settings, to_recipe


def main(program: str, arguments: list[str]) -> int:
    """Train; recipes may come first without their `--recipe`."""
    files, words = split_arguments(arguments)
    stages = parse_stages(_parser(program), files, *split_settings(words))
    last = stages[-1]
    best = fit_stages([to_recipe(stage) for stage in stages], last.output, resume=last.resume)
    if is_first_process():
        print(best)
    return 0


def _parser(program: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=program,
        usage=f"{program} [RECIPE …] --output DIRECTORY [--resume] [--SECTION.SETTING VALUE …]",
        description=(
            "Train a model by a recipe. A run that was stopped, in whatever way, goes on with --resume. Settings on "
            "the command line hold for all stages of a recipe that comes after another. --model.preset NAME stands for "
            "the settings of a published model (`offstride models`)."
        ),
        exit_on_error=False,
    )
    parser.add_argument("--recipe", action=ActionConfigFile, help="YAML file; several are laid over each other")
    add_recipe(parser)
    parser.add_argument("--output", type=Path, required=True, help="directory of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run that the directory holds")
    return parser
