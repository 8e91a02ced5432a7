"""The methods of a comparison: named changes to the shared recipe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offstride.train.recipe_file import load_recipe_file
from offstride.upsamplers import UPSAMPLERS, Upsampler
from offstride.upsamplers.base import Compared


@dataclass(frozen=True)
class Variant:
    """A method in a comparison.

    Args:
        name: Short name, also of the folder of its runs.
        description: A line about it.
        paper: Its source.
        changes: Sections of a recipe with settings that replace the shared ones.
    """

    name: str
    description: str
    paper: str = ""
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _variants(name: str, kind: type[Upsampler]) -> Iterator[Variant]:
    """The methods that an upsampler is compared as."""
    for method in kind.compared_as or (Compared(f"{name.replace('_', ' ')} as it is by default"),):
        model = {"upsampler": name, "upsampler_options": dict(method.options)}
        changes = {"model": model, "loss": {"location": method.location}}
        yield Variant(name + method.suffix, method.description, method.paper, changes)


VARIANTS = {it.name: it for name, kind in UPSAMPLERS.items() if kind.compared_as for it in _variants(name, kind)}
"""Named methods of `offstride compare --upsamplers`, besides all other upsamplers and recipe files."""


def read_variant(word: str) -> Variant:
    """A method by its name, or a recipe file that overrides the shared recipe.

    Raises:
        ValueError: If there is no such method, or the file cannot be read.
    """
    if word in VARIANTS:
        return VARIANTS[word]
    if word in UPSAMPLERS:
        return next(_variants(word, UPSAMPLERS[word]))
    path = Path(word)
    if path.suffix in (".yaml", ".yml"):
        return Variant(path.stem, f"{path.name} over the recipe", "", load_recipe_file(path).recipe)
    known = ", ".join([*VARIANTS, *sorted(UPSAMPLERS.keys() - VARIANTS.keys())])
    raise ValueError(f"upsamplers: expected {known}, or a recipe file, got {word!r}")
