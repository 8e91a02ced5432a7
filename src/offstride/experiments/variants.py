"""The methods of a comparison by name: what each changes in the shared recipe."""

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
        description: What it is, in a line.
        paper: Where it comes from.
        changes: Sections of a recipe with the settings that it replaces.
    """

    name: str
    description: str
    paper: str = ""
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _variants(name: str, kind: type[Upsampler]) -> Iterator[Variant]:
    """The methods that an upsampler is compared as."""
    for each in kind.compared_as or (Compared(f"{name.replace('_', ' ')} as it is by default"),):
        model = {"upsampler": name, "upsampler_options": dict(each.options)}
        changes = {"model": model, "loss": {"location": each.location}}
        yield Variant(name + each.suffix, each.description, each.paper, changes)


VARIANTS = {each.name: each for name, kind in UPSAMPLERS.items() if kind.compared_as for each in _variants(name, kind)}
"""What `offstride compare --upsamplers` knows by name, besides the other upsamplers and recipe files."""


def read_variant(word: str) -> Variant:
    """A method by its name, or by a recipe file that is laid over the shared one.

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
