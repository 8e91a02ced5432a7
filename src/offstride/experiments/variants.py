"""Upsamplers as a comparison names them: what each changes about the recipe that all of them share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offstride.models.parts import UPSAMPLERS
from offstride.train.recipe_file import load_recipe_file


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


def _variant(name: str, description: str, paper: str = "", location: str = "none", **options: Any) -> Variant:
    """An upsampler with options; it is named by the first part of the name."""
    model = {"upsampler": name.partition("+")[0], "upsampler_options": options}
    return Variant(name, description, paper, {"model": model, "loss": {"location": location}})


_LAU, _DYSAMPLE = "He et al. 2019", "Liu et al. 2023"
_ALL = (
    _variant("bilinear", "bilinear interpolation"),
    _variant("joint_bilateral", "joint bilateral upsampling, guided by the image", "Kopf et al. 2007"),
    _variant("pixel_shuffle", "sub-pixel convolution ×8, then bilinear", "Shi et al. 2016", scales=[8]),
    _variant("transposed", "transposed convolution ×8, then bilinear", "Long et al. 2015", scale=8),
    _variant("dupsampling", "DUpsampling, whole stride, starting from a label basis", "Tian et al. 2019"),
    _variant("carafe", "CARAFE ×4, then bilinear", "Wang et al. 2019", scale=4),
    _variant("sapa", "SAPA, then bilinear", "Lu et al. 2022"),
    _variant("dysample", "DySample (lp) ×8, then bilinear", _DYSAMPLE, scale=8),
    _variant("dysample+", "DySample (lp, dynamic scope) ×8, then bilinear", _DYSAMPLE, scale=8, dynamic=True),
    _variant("lau", "LaU, half of the stride, then bilinear ×2; cross-entropy alone", _LAU),
    _variant("lau+off", "LaU, half of the stride, then bilinear ×2; offset-guided loss", _LAU, "guided"),
    _variant("lau+reg", "LaU, half of the stride, then bilinear ×2; offset-regression loss", _LAU, "regression"),
    _variant("lau+guide", "LaU whose offsets also see features of stride 4; cross-entropy alone", guide_stride=4),
    _variant("residual", "scores of features of stride 4, added to the coarse ones", "Long et al. 2015"),
)
VARIANTS = {variant.name: variant for variant in _ALL}
"""What `offstride compare --upsamplers` knows by name, besides the other upsamplers and recipe files."""


def read_variant(word: str) -> Variant:
    """A method by its name, or by a recipe file that is laid over the shared one.

    Raises:
        ValueError: If there is no such method, or the file cannot be read.
    """
    if word in VARIANTS:
        return VARIANTS[word]
    if word in UPSAMPLERS:
        return _variant(word, f"{word.replace('_', ' ')} as it is by default")
    path = Path(word)
    if path.suffix in (".yaml", ".yml"):
        return Variant(path.stem, f"{path.name} over the recipe", "", load_recipe_file(path).recipe)
    known = ", ".join([*VARIANTS, *sorted(UPSAMPLERS.keys() - VARIANTS.keys())])
    raise ValueError(f"upsamplers: expected {known}, or a recipe file, got {word!r}")
