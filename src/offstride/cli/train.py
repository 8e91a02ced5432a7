"""`offstride train`: recipes in YAML, any setting overridden on the command line."""

import json
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from jsonargparse import (
    ActionConfigFile,  # pyright: ignore[reportPrivateImportUsage]
    ArgumentError,
    ArgumentParser,
    Namespace,
)

from offstride.train import Recipe, fit_stages, is_first_process
from offstride.train.recipe import preset_settings
from offstride.train.recipe_file import load_recipe_files, training_chain


def main(program: str, arguments: list[str]) -> int:
    """Train; recipes may come first without their `--recipe`."""
    files, settings = split_arguments(arguments)
    parser = _parser(program)
    stages = [parser.instantiate(parser.parse_args(words)) for words in _stages(files, settings)]
    last = stages[-1]
    best = fit_stages([_recipe(stage) for stage in stages], last.output, resume=last.resume)
    if is_first_process():
        print(best)
    return 0


def read_recipe(path: Path) -> Recipe:
    """The recipe of one YAML file, with the files that it stands on.

    Raises:
        ValueError: If it cannot be read or holds something else.
    """
    return read_stages([path])[-1]


def read_stages(files: Sequence[str | Path], settings: Sequence[str] = ()) -> list[Recipe]:
    """The recipes that are trained one after another, from files laid over each other.

    Args:
        files: YAML files; what is trained first is what the last of them says that says something.
        settings: `--SECTION.SETTING=VALUE` words that hold for every stage.

    Raises:
        ValueError: If a file cannot be read, or there is no such setting.
    """
    parser = _reader()
    try:
        return [_recipe(parser.instantiate(parser.parse_args(words))) for words in _stages(files, settings)]
    except ArgumentError as error:
        raise ValueError(f"recipe {', '.join(map(str, files))}: {error}") from error


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Recipe files, which come first or follow `--recipe`, and all other words."""
    files: list[str] = []
    settings: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--recipe":
            files.append(next(words, ""))
        elif word.startswith("--recipe="):
            files.append(word.removeprefix("--recipe="))
        elif settings or word.startswith("-"):
            settings.append(word)
        else:
            files.append(word)
    return files, settings


def _with_length(settings: Sequence[str]) -> list[str]:
    """The settings, in which a number of steps replaces a recipe's epochs: those would win."""
    named = {word.removeprefix("--").partition("=")[0] for word in settings}
    also = ["--schedule.epochs=null"] if "schedule.steps" in named and "schedule.epochs" not in named else []
    return [*settings, *also]


def _stages(files: Sequence[str | Path], settings: Sequence[str]) -> list[list[str]]:
    """What the parser reads for each stage: its recipe, as JSON, and the command line, in which a preset stands for its
    settings: these replace the recipe's, and are replaced by others on the command line.
    """
    preset, words = _preset(_with_length(settings))
    recipes = [recipe | {"model": recipe.get("model", {}) | preset} for recipe in _chain(files)]
    return [[f"--recipe={json.dumps(recipe)}", *words] for recipe in recipes]


def _chain(files: Sequence[str | Path]) -> list[dict[str, dict[str, Any]]]:
    """The settings of all stages; without a file, one of defaults."""
    if not files:
        return [{}]
    last = load_recipe_files(files)
    return [stage.recipe for stage in (*([] if last.after is None else training_chain(last.after)), last)]


def _preset(settings: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The settings of the published model that a command line names, if any, and all other words."""
    found: dict[str, Any] = {}
    others: list[str] = []
    words = iter(settings)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--model.preset":
            found = preset_settings(value if equals else next(words, ""))
        else:
            others.append(word)
    return found, others


def _recipe(values: Namespace) -> Recipe:
    sections: dict[str, Any] = {section.name: values[section.name] for section in fields(Recipe)}
    return Recipe(**sections)


def _parser(program: str) -> ArgumentParser:
    result = ArgumentParser(
        prog=program,
        usage=f"{program} [RECIPE …] --output DIRECTORY [--resume] [--SECTION.SETTING VALUE …]",
        description=(
            "Train a model by a recipe. A run that was stopped, in whatever way, goes on with --resume. Settings on "
            "the command line hold for all stages of a recipe that comes after another. --model.preset NAME stands for "
            "the settings of a published model (`offstride models`)."
        ),
        exit_on_error=False,
    )
    _add_recipe(result)
    result.add_argument("--output", type=Path, required=True, help="directory of the run")
    result.add_argument("--resume", action="store_true", help="go on with the run that the directory holds")
    return result


@cache
def _reader() -> ArgumentParser:
    """A parser of recipes alone; it takes longer to build than to use."""
    result = ArgumentParser(exit_on_error=False)
    _add_recipe(result)
    return result


def _add_recipe(parser: ArgumentParser) -> None:
    parser.add_argument("--recipe", action=ActionConfigFile, help="YAML file; several are laid over each other")
    parser.add_class_arguments(Recipe, None)
