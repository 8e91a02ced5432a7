"""The models of a comparison, some of which may be of other libraries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offstride.opening import names_library, open_model


def open_compared(reference: str | Path, output_stride: int | None, missing: Mapping[str, Any]) -> Any:
    """A model of a comparison, see `open_model`.

    Args:
        reference: Of any kind.
        output_stride: Stride to run it at, if not that of its training.
        missing: Other arguments of `open_model`, which hold for models by their names in a library alone; of other
            models only the `classes` are checked.
    """
    given = missing if names_library(reference) else {"classes": missing.get("classes")}
    return open_model(reference, output_stride=output_stride, **given)
