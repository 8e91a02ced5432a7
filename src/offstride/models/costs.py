"""Costs of the published models, precomputed for `offstride models`.

`python -m offstride.models.costs` counts them again after a change; a test fails when the table is out of date.
"""

import json
from functools import cache
from pathlib import Path

import torch

from offstride.models.complexity import Complexity, complexity
from offstride.models.create import create_model
from offstride.models.presets import PRESETS
from offstride.models.segmenter import Segmenter

COSTS = Path(__file__).with_name("costs.json")


@cache
def read_costs() -> dict[str, dict[str, int]]:
    """`parameters` and `macs` of every published model, for an image of the size that its paper quotes."""
    return json.loads(COSTS.read_text())


@cache
def count_preset(name: str, size: tuple[int, int] | None = None) -> Complexity:
    """Costs of a published model, counted now; for an image of the size that its paper quotes unless one is given."""
    return complexity(ghost_preset(name), size or PRESETS[name].size)


def ghost_preset(name: str) -> Segmenter:
    """A published model without values, which takes no time to initialise."""
    with torch.device("meta"):
        return create_model(name)


def costs_of(name: str, size: tuple[int, int] | None = None) -> dict[str, int]:
    """`parameters` and `macs` of a published model, counted now, see `count_preset`."""
    costs = count_preset(name, size)
    return {"parameters": costs.parameters, "macs": costs.macs}


if __name__ == "__main__":
    rows = [f"  {json.dumps(name)}: {json.dumps(costs_of(name))}" for name in PRESETS]
    COSTS.write_text("{\n" + ",\n".join(rows) + "\n}\n")
