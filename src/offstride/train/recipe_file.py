"""Recipe files: YAML that can extend other files (`base`), follow an earlier training (`after`), and describe a row of
a paper's table.

A file may hold the sections of a `Recipe` and these keys; paths are relative to the file:

- `base`: file or files to extend, in this order. A setting replaces the inherited one entirely, mappings such as
  `head_options` included; `steps` replace inherited `epochs`. `model.preset` names a published model, whose settings
  all files override.
- `after`: a recipe that is trained first. This one starts from its model, or from the parts of it in
  `model.start_parts`. It replaces an inherited `after` with its `start_parts`.
- `evaluate`: how a row of a table is scored; keys in `EVALUATE`.
- `same`: another recipe file with the same training; it can be combined only with `evaluate` and `table`.
- `table`: the row that the file describes; keys in `TABLE`. Not inherited.
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
_KEYS = {name: tuple(setting.name for setting in fields(kind)) for name, kind in SECTIONS.items()}
_KEYS |= {"model": ("preset", *_KEYS["model"]), "evaluate": EVALUATE, "table": TABLE}


@dataclass(frozen=True)
class RecipeFile:
    """A recipe file with everything that it inherits.

    Attributes:
        path: The file.
        recipe: Settings by section, those of a preset included.
        after: Recipe file that is trained first.
        evaluate: How the model is scored.
        table: The row of a paper.
        training: The file that defines the training: this one, or the one that `same` names.
    """

    path: Path
    recipe: dict[str, dict[str, Any]]
    after: Path | None
    evaluate: dict[str, Any]
    table: dict[str, Any]
    training: Path


def load_recipe_file(*paths: str | Path) -> RecipeFile:
    """Read a recipe file and all files that it extends; of several files, later ones override earlier ones.

    Args:
        *paths: The files. A file that several extend is read once. `after` is that of the last file that has it, the
            row of a table that of the last file.

    Raises:
        ValueError: Naming the file that is missing, cannot be read, has unknown keys, or extends itself.
    """
    return _load([Path(path).resolve() for path in paths], ())


def training_chain(path: str | Path) -> list[RecipeFile]:
    """The recipes that are trained one after another, the file's own last."""
    chain = [load_recipe_file(path)]
    while (before := chain[0].after) is not None:
        chain.insert(0, load_recipe_file(before))
    return chain


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Contents of recipe files, in which later settings override earlier ones."""
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
    """See `load_recipe_file`; `later` are the trainings that follow this one."""
    if not paths:
        raise ValueError("recipe: expected a file, got none")
    layers: dict[Path, dict[str, Any]] = {}
    for path in paths:
        _add(path, layers, ())
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


def _add(path: Path, layers: dict[Path, dict[str, Any]], above: tuple[Path, ...]) -> None:
    """Add a file after the files that it extends, once."""
    if path in above:
        raise ValueError(f"base: {_arrow((*above, path))} is a circle")
    if path in layers:
        return
    content = _read(path, above)
    for below in (*content.get("base", ()), *([content["same"]] if "same" in content else ())):
        _add(below, layers, (*above, path))
    layers[path] = content


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """One file, checked, with absolute paths."""
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
        if name in _KEYS:
            _check_keys(path, name, part, _KEYS[name])
    if "same" in content and (beside := sorted(content.keys() - {"same", "evaluate", "table"})):
        raise ValueError(f"recipe {path}: expected evaluate and table alone beside same, got {', '.join(beside)}")
    return {**content, **_named_files(path, content)}


def _check_keys(path: Path, section: str, content: Any, known: tuple[str, ...]) -> None:
    where = f"recipe {path}: {section}".rstrip(": ")
    if not isinstance(content, Mapping):
        raise ValueError(f"{where}: expected names and values, got {content!r}")
    if unknown := sorted(str(key) for key in content if key not in known):
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(known)}")


def _named_files(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """`base`, `after` and `same` as absolute paths, if given."""
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
    """Settings of a preset, overridden by the file's own."""
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
