"""Recipe files: YAML that extends other files, names the training before its own, and the row of a paper it is for.

Besides the sections of a `Recipe` a file may hold:

- `base`: a file, or several, that it is laid over, in order and before itself. A setting replaces that of the files
  below as a whole, mappings such as `head_options` included: they belong to one part. `steps` end the `epochs` of those
  below. `model.preset` names a published model, whose settings lie below those of all files.
- `after`: a recipe that is trained first; this one starts from its model, or from the parts of it in
  `model.start_parts`. It ends the `after` of files below, with their `start_parts`.
- `evaluate`: how a row of a table is scored; keys in `EVALUATE`.
- `same`: another recipe file whose training this is; only `evaluate` and `table` may stand beside it.
- `table`: the row that the file is for; keys in `TABLE`. It is not handed on to files that are laid over this one.

Files are named relative to the file that names them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from offstride.models.presets import PRESETS, preset_config
from offstride.train.recipe import Recipe

SECTIONS: dict[str, type] = {section.name: section.type for section in fields(Recipe)}  # type: ignore[misc]
EVALUATE = ("split", "output_stride", "scales", "flip", "sliding", "overlap", "base", "learned_bound")
"""`learned_bound` holds settings of `offstride.evaluate.LabelTraining`, with `decoder` and `scale`."""
TABLE = ("id", "row", "published", "measure", "against", "size", "remark")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOP = (*SECTIONS, "base", "after", "evaluate", "same", "table")


@dataclass(frozen=True)
class RecipeFile:
    """A recipe file with everything below it.

    Attributes:
        path: The file.
        recipe: Settings by section; those of a preset stand among them, so that any of them can be replaced.
        after: Recipe file that is trained first.
        evaluate: How the model is scored.
        table: The row of a paper.
        training: The file whose training this is: itself, or the one that it says it is the `same` as.
    """

    path: Path
    recipe: dict[str, dict[str, Any]]
    after: Path | None
    evaluate: dict[str, Any]
    table: dict[str, Any]
    training: Path


def load_recipe_file(path: str | Path) -> RecipeFile:
    """Read a recipe file and all files that it extends.

    Raises:
        ValueError: Naming the file that is missing, cannot be read, has unknown keys, or extends itself.
    """
    return load_recipe_files([path])


def load_recipe_files(paths: Iterable[str | Path]) -> RecipeFile:
    """Several files, later ones laid over earlier ones; a file that several extend is laid once.

    Args:
        paths: The files. `after` is that of the last one that has it, the row of a table that of the last one.

    Raises:
        ValueError: As `load_recipe_file`.
    """
    return _load([Path(path).resolve() for path in paths], ())


def training_chain(path: str | Path) -> list[RecipeFile]:
    """The recipes that are trained one after another, the file's own last."""
    chain = [load_recipe_file(path)]
    while (before := chain[0].after) is not None:
        chain.insert(0, load_recipe_file(before))
    return chain


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Contents of recipe files laid over each other setting by setting; `after` of the last that names one."""
    settings: dict[str, Any] = {}
    for layer in layers:
        if "after" in layer:
            settings.get("model", {}).pop("start_parts", None)  # of what another one was after
        for name, value in layer.items():
            if name in SECTIONS or name == "evaluate":
                settings[name] = {**settings.get(name, {}), **value}
                if "steps" in value and "epochs" not in value:
                    settings[name].pop("epochs", None)  # they would win
            elif name == "after":
                settings[name] = value
    return settings


def _load(paths: list[Path], later: tuple[Path, ...]) -> RecipeFile:
    """See `load_recipe_files`; `later` are the trainings that come after this one."""
    if not paths:
        raise ValueError("recipe: expected a file, got none")
    layers: dict[Path, dict[str, Any]] = {}
    for path in paths:
        _lay(path, layers, ())
    settings, own = merged(layers.values()), layers[paths[-1]]
    recipe = {name: settings[name] for name in SECTIONS if name in settings}
    if "preset" in recipe.get("model", {}):
        recipe["model"] = _expanded(recipe["model"], paths[-1])
    training = paths[-1]
    while "same" in layers[training]:
        training = layers[training]["same"]
    if (after := settings.get("after")) is not None:
        if after in (*later, training):
            raise ValueError(f"after: {_arrow((*later, training, after))} is a circle")
        _load([after], (*later, training))
    return RecipeFile(paths[-1], recipe, after, settings.get("evaluate", {}), own.get("table", {}), training)


def _lay(path: Path, layers: dict[Path, dict[str, Any]], above: tuple[Path, ...]) -> None:
    """Add a file after the files that it is laid over, unless it is there."""
    if path in above:
        raise ValueError(f"base: {_arrow((*above, path))} is a circle")
    if path in layers:
        return
    content = _read(path, above)
    for below in (*content.get("base", ()), *([content["same"]] if "same" in content else ())):
        _lay(below, layers, (*above, path))
    layers[path] = content


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """One file, checked, with the paths that it names made absolute."""
    try:
        content = yaml.load(path.read_text(), _LOADER)
    except (OSError, UnicodeDecodeError) as error:
        named = f", which {above[-1]} names," if above else ""
        raise ValueError(f"recipe {path}{named} cannot be read: {getattr(error, 'strerror', error)}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"recipe {path}: expected YAML: {error}") from error
    content = {} if content is None else content
    _check_keys(path, "", content, _TOP)
    for name, part in content.items():
        _check_section(path, name, part)
    if "same" in content and (beside := sorted(content.keys() - {"same", "evaluate", "table"})):
        raise ValueError(f"recipe {path}: expected evaluate and table alone beside same, got {', '.join(beside)}")
    return {**content, **_named_files(path, content)}


def _check_section(path: Path, name: str, part: Any) -> None:
    known: dict[str, Iterable[str]] = {"evaluate": EVALUATE, "table": TABLE}
    known |= {section: [setting.name for setting in fields(kind)] for section, kind in SECTIONS.items()}
    known["model"] = ["preset", *known["model"]]
    if name in known:
        _check_keys(path, name, part, known[name])


def _check_keys(path: Path, section: str, content: Any, known: Iterable[str]) -> None:
    where = f"recipe {path}: {section}".rstrip(": ")
    if not isinstance(content, Mapping):
        raise ValueError(f"{where}: expected names and values, got {content!r}")
    if unknown := sorted(str(key) for key in content if key not in tuple(known)):
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(known)}")


def _named_files(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """`base`, `after` and `same` as absolute paths, as far as they are there."""
    named: dict[str, Any] = {}
    for key in ("base", "after", "same"):
        if key in content:
            names = content[key] if key == "base" and isinstance(content[key], list) else [content[key]]
            if not all(isinstance(name, str) for name in names):
                raise ValueError(f"recipe {path}: {key}: expected the path of a recipe file, got {content[key]!r}")
            paths = [(path.parent / name).resolve() for name in names]
            named[key] = paths if key == "base" else paths[0]
    return named


def _expanded(model: dict[str, Any], path: Path) -> dict[str, Any]:
    """Settings of a preset with the file's own laid over them."""
    own = dict(model)
    if (name := own.pop("preset")) is None:
        return own
    try:
        preset_config(name)
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from error
    return {**PRESETS[name].config, **own}


def _arrow(paths: Iterable[Path]) -> str:
    return " → ".join(map(str, paths))
