"""`offstride train`: recipes in YAML, any setting overridden on the command line."""

from dataclasses import fields
from itertools import takewhile
from pathlib import Path

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser  # pyright: ignore[reportPrivateImportUsage]

from offstride.train import Recipe, fit, is_first_process


def main(program: str, arguments: list[str]) -> int:
    """Train; recipes may come first without their `--recipe`."""
    files = list(takewhile(lambda word: not word.startswith("-"), arguments))
    parser = _parser(program)
    values = parser.instantiate(parser.parse_args([f"--recipe={file}" for file in files] + arguments[len(files) :]))
    recipe = Recipe(**{section.name: values[section.name] for section in fields(Recipe)})
    best = fit(recipe, values.output, resume=values.resume)
    if is_first_process():
        print(best)
    return 0


def read_recipe(path: Path) -> Recipe:
    """The recipe of one YAML file.

    Raises:
        ValueError: If it cannot be read or holds something else.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--recipe", action=ActionConfigFile)
    parser.add_class_arguments(Recipe, None)
    try:
        values = parser.instantiate(parser.parse_args([f"--recipe={path}"]))
    except ArgumentError as error:
        raise ValueError(f"recipe {path}: {error}") from error
    return Recipe(**{section.name: values[section.name] for section in fields(Recipe)})


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        usage=f"{program} [RECIPE …] --output DIRECTORY [--resume] [--SECTION.SETTING VALUE …]",
        description="Train a model by a recipe. A run that was stopped, in whatever way, goes on with --resume.",
        exit_on_error=False,
    )
    result.add_argument("--recipe", action=ActionConfigFile, help="YAML file; several are laid over each other")
    result.add_argument("--output", type=Path, required=True, help="directory of the run")
    result.add_argument("--resume", action="store_true", help="go on with the run that the directory holds")
    result.add_class_arguments(Recipe, None)
    return result
