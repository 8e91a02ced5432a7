"""Small folder datasets, written to order."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Tree = Callable[..., Path]

LAYOUT = {"classes": ["sky", "road", "pole"], "ignore_index": 255, "thin": ["pole"]}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A function that writes `count` random pairs per split of three classes, and returns their root."""

    def write(splits: tuple[str, ...] = ("train", "val"), count: int = 3, labels: str = "labels") -> Path:
        root = tmp_path / "set"
        for split in splits:
            for folder in ("images", labels):
                (root / folder / split).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                rng = np.random.default_rng(index)
                size = (16 + index, 24)
                image = Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))
                image.save(root / "images" / split / f"{index}.jpg", quality=95)
                values = np.array([0, 1, 255, 2][: 3 + index], np.uint8)  # the first mask shows no pole
                mask = Image.fromarray(rng.choice(values, size))
                mask.save(root / labels / split / f"{index}.png")
        (root / "classes.json").write_text(json.dumps(LAYOUT))
        return root

    return write
