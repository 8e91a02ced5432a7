"""Reading recipes: from YAML files and a command line to dataclasses."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from offstride.models.presets import preset_config
from offstride.train.recipe import Recipe
from offstride.train.recipe_file import SECTIONS, load_recipe_file, merged, training_chain

Changes = Mapping[str, Mapping[str, Any]]
"""Settings by section, as a recipe file holds them."""


def read_recipe(path: Path) -> Recipe:
    """The recipe of a YAML file, including the files that it extends; see `read_stages`."""
    return read_stages([path])[-1]


def read_stages(
    files: Sequence[str | Path], settings: Mapping[str, str] = MappingProxyType({}), changes: Changes | None = None
) -> list[Recipe]:
    """Recipes of the successive stages; later files override earlier ones.

    Args:
        files: YAML files; none for the defaults. The last one that sets `after` decides what is trained first.
        settings: `SECTION.SETTING` and its value in YAML, for every stage.
        changes: Settings that replace those of the last stage's files.

    Raises:
        ValueError: If a file cannot be read, or there is no such setting.
    """
    try:
        return [to_recipe(values) for values in parse_stages(_reader(), files, [*settings.items()], changes=changes)]
    except ArgumentError as error:
        raise ValueError(f"recipe {', '.join(map(str, files))}: {error}") from error


def parse_stages(
    parser: ArgumentParser,
    files: Sequence[str | Path],
    settings: Sequence[tuple[str, str]],
    words: Sequence[str] = (),
    changes: Changes | None = None,
) -> list[Namespace]:
    """Parsed values for each stage of a recipe.

    Args:
        parser: With `add_recipe`, and options of its own.
        files: See `read_stages`.
        settings: Names and values, see `split_settings`. `model.preset` replaces the recipe's settings by those of a
            published model; other settings override these. A number of steps replaces a recipe's epochs.
        words: All other words of the command line.
        changes: See `read_stages`.

    Returns:
        For each stage the sections of a recipe, and the values of the parser's own options.

    Raises:
        ArgumentError: If a setting is unknown, or a value has another type.
        ValueError: If a file cannot be read, or a value is out of range.
    """
    given = dict(settings)
    preset = preset_config(given["model.preset"]).settings() if "model.preset" in given else {}
    line = [*words, *(f"--{name}={value}" for name, value in settings if name != "model.preset")]
    if "schedule.steps" in given and "schedule.epochs" not in given:
        line.append("--schedule.epochs=null")
    stages = []
    for recipe in _chain(files, changes or {}):
        start = _reader().parse_object({**recipe, "model": {**recipe.get("model", {}), **preset}})
        stages.append(parser.instantiate(parser.parse_args(line, namespace=start)))
    return stages


def add_recipe(parser: ArgumentParser) -> None:
    """Add all settings of a recipe to a parser."""
    parser.add_class_arguments(Recipe, None)


def to_recipe(values: Namespace, **sections: Any) -> Recipe:
    """The recipe of parsed values; `sections` replace those of the same name."""
    return Recipe(**{name: sections[name] if name in sections else values[name] for name in SECTIONS})


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


def split_settings(words: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Names and values of `--SECTION.SETTING VALUE` or `--SECTION.SETTING=VALUE` among the words of a command line, and
    all other words. `evaluate` counts as a section.

    Raises:
        ValueError: If a value is missing.
    """
    settings: list[tuple[str, str]] = []
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        section, dot, _ = name.partition(".")
        if not (word.startswith("--") and dot and section in (*SECTIONS, "evaluate")):
            others.append(word)
            continue
        value = value if equals else next(rest, "--")
        if value.startswith("--"):
            raise ValueError(f"{name}: expected a value")
        settings.append((name, value))
    return settings, others


def _chain(files: Sequence[str | Path], changes: Changes) -> list[dict[str, dict[str, Any]]]:
    """The settings of all stages; without a file, one of defaults."""
    if not files:
        return [merged([changes])]
    last = load_recipe_file(*files)
    before = [] if last.after is None else training_chain(last.after)
    return [*(stage.recipe for stage in before), merged([last.recipe, changes])]


@cache
def _reader() -> ArgumentParser:
    """A parser of recipes, cached because building it is slow."""
    parser = ArgumentParser(exit_on_error=False)
    add_recipe(parser)
    return parser
