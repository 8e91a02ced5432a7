"""Models of other libraries by name: one file for each library.

Each has `load(name)`, which opens a model with its weights, and `rebuild(architecture)`, which builds the network again
without them: from plain values alone, with no code from a file and no download.
"""

import importlib
from types import ModuleType

PACKAGES = {
    "torchvision": "torchvision",
    "transformers": "transformers",
    "smp": "segmentation_models_pytorch",
}
"""Libraries by the prefix of their references, with the package that each needs."""


def library(name: str) -> ModuleType:
    """The file of a library.

    Raises:
        ValueError: If there is none, or its package is not installed.
    """
    if name not in PACKAGES:
        raise ValueError(f"library: expected one of {', '.join(PACKAGES)}, got {name!r}")
    try:
        importlib.import_module(PACKAGES[name])
    except ImportError as error:
        package = PACKAGES[name].replace("_", "-")
        raise ValueError(f"{name}: needs the package {PACKAGES[name]}: pip install {package} ({error})") from error
    return importlib.import_module(f"offstride.replace.named.{name}")
