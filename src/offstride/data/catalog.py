"""Class sets: the names, colours and mask-file values of a dataset's classes.

Inside the library a label is a class index 0 … n - 1, or `IGNORE_INDEX`. Mask files of other makers use other values;
a `ClassSet` translates between them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from offstride.ops.labels import IGNORE_INDEX

Color = tuple[int, int, int]

_VALUES = 1 << 16  # masks have 8 or 16 bits


def voc_colors(count: int) -> tuple[Color, ...]:
    """The first `count` colours of the PASCAL VOC map.

    The bits of the index, from the lowest on, go to red, green and blue in turn, which they fill from the top down.
    """
    return tuple((_deal(index), _deal(index >> 1), _deal(index >> 2)) for index in range(count))


def _deal(index: int) -> int:
    """Every third bit of `index`, the lowest one placed highest."""
    return sum((index >> 3 * bit & 1) << 7 - bit for bit in range(8))


@dataclass(frozen=True)
class ClassSet:
    """The classes of a dataset, in the order of their indices.

    Args:
        names: One distinct name per class; 1 to 255 of them.
        palette: One (red, green, blue) colour in 0 … 255 per class; the PASCAL VOC colours by default.
        values: The value of each class in mask files, 0 … 65535; 0 … n - 1 by default.
        ignore_values: Mask-file values of pixels without a class; the first one is written by `decode`.
        thin: Names of the classes whose objects are only a few pixels wide; evaluation reports them apart.

    Raises:
        ValueError: When lengths differ, names or values repeat, or `thin` names an unknown class.
    """

    names: tuple[str, ...]
    palette: tuple[Color, ...] = ()
    values: tuple[int, ...] = ()
    ignore_values: tuple[int, ...] = (IGNORE_INDEX,)
    thin: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "palette", self.palette or voc_colors(len(self.names)))
        object.__setattr__(self, "values", self.values or tuple(range(len(self.names))))
        _check(self)

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, mask: np.ndarray) -> np.ndarray:
        """Translate mask-file values to class indices.

        Args:
            mask: Integers or booleans of any shape.

        Returns:
            uint8 class indices of the same shape, `IGNORE_INDEX` for ignored values.

        Raises:
            ValueError: When the mask holds other values than `values` and `ignore_values`; they are listed.
        """
        return _translate("mask", mask, self._codes).astype(np.uint8)

    def decode(self, indices: np.ndarray) -> np.ndarray:
        """Translate class indices and `IGNORE_INDEX` back to mask-file values: uint8, or uint16 if a value needs it.

        Raises:
            ValueError: When an index is neither a class nor, in a set with `ignore_values`, `IGNORE_INDEX`.
        """
        table = np.full(IGNORE_INDEX + 1, -1, np.int32)
        table[: len(self)] = self.values
        table[IGNORE_INDEX] = (*self.ignore_values, -1)[0]
        return _translate("indices", indices, table).astype(np.uint8 if table.max() < 256 else np.uint16)

    @classmethod
    def from_file(cls, path: str | Path) -> "ClassSet":
        """Read a `.json`, `.yaml` or `.yml` file in the layout of `from_dict`.

        Raises:
            ValueError: Naming the path, when the file is missing or not in that layout.
        """
        path = Path(path)
        if path.suffix not in (".json", ".yaml", ".yml"):
            raise ValueError(f"path: expected a .json, .yaml or .yml file, got {path}")
        try:
            text = path.read_text(encoding="utf-8")
            return cls.from_dict(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ValueError(f"class file {path}: {error}") from error

    @classmethod
    def from_dict(cls, layout: Mapping[str, Any]) -> "ClassSet":
        """Build from plain data; the opposite of `to_dict`.

        Args:
            layout: `classes`: a list of names, or of `{name, id, color}` where `id` (the mask-file value) and `color`
                may be left out; `ignore_index`: one value or a list, 255 by default; `thin`: a list of names. Other
                keys are left alone.

        Raises:
            ValueError: When the layout is another one.
        """
        classes = layout.get("classes") if isinstance(layout, Mapping) else None
        if not isinstance(classes, Sequence) or isinstance(classes, str) or not classes:
            raise ValueError(f"classes: expected a list of names or of {{name, id, color}}, got {classes!r}")
        entries: list[Mapping[str, Any]] = [
            entry if isinstance(entry, Mapping) else {"name": entry} for entry in classes
        ]
        colors = zip(entries, voc_colors(len(entries)), strict=True)
        return cls(
            names=tuple(entry.get("name", "") for entry in entries),
            palette=tuple(_as_tuple(entry.get("color", color)) for entry, color in colors),
            values=tuple(entry.get("id", index) for index, entry in enumerate(entries)),
            ignore_values=_as_tuple(layout.get("ignore_index", IGNORE_INDEX)),
            thin=_as_tuple(layout.get("thin", ())),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON and YAML can hold, in the layout of `from_dict`."""
        rows = zip(self.values, self.names, self.palette, strict=True)
        return {
            "classes": [{"id": value, "name": name, "color": list(color)} for value, name, color in rows],
            "ignore_index": list(self.ignore_values),
            "thin": list(self.thin),
        }

    @cached_property
    def _codes(self) -> np.ndarray:
        """Class index of each mask-file value, -1 where there is none."""
        codes = np.full(_VALUES, -1, np.int16)
        codes[list(self.values)] = range(len(self))
        codes[list(self.ignore_values)] = IGNORE_INDEX
        return codes


def _check(classes: ClassSet) -> None:
    """Raise a `ValueError` naming the first field that is not as documented."""
    n = len(classes.names)
    if not 0 < n <= IGNORE_INDEX or not all(isinstance(name, str) and name for name in classes.names):
        raise ValueError(f"names: expected 1 to {IGNORE_INDEX} names, got {n}: {classes.names!r}")
    if len(set(classes.names)) < n:
        raise ValueError(f"names: expected distinct names, got {classes.names!r}")
    if len(classes.palette) != n or not all(_is_color(color) for color in classes.palette):
        raise ValueError(f"palette: expected {n} colours of three integers in 0 … 255, got {classes.palette!r}")
    if len(classes.values) != n:
        raise ValueError(f"values: expected {n}, one per class, got {classes.values!r}")
    values = (*classes.values, *classes.ignore_values)
    if not all(_is_integer(value, _VALUES) for value in values) or len(set(values)) < len(values):
        raise ValueError(
            f"values, ignore_values: expected distinct integers in 0 … {_VALUES - 1}, "
            f"got {classes.values!r} and {classes.ignore_values!r}"
        )
    strangers = [name for name in classes.thin if name not in classes.names]
    if strangers:
        raise ValueError(f"thin: expected names out of {classes.names!r}, got {strangers!r}")


def _is_color(color: object) -> bool:
    return isinstance(color, tuple) and len(color) == 3 and all(_is_integer(channel, 256) for channel in color)


def _is_integer(value: object, stop: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < stop


def _as_tuple(value: object) -> tuple[Any, ...]:
    """The elements of a list, or a single value as a tuple."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _translate(argument: str, array: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Look integers up in `table`, where -1 marks unknown ones: these raise a `ValueError` that lists them."""
    if array.dtype.kind not in "bui":
        raise ValueError(f"{argument}: expected integers, got {array.dtype}")
    integers = array.astype(np.uint8) if array.dtype == bool else array
    inside = not ((integers < 0) | (integers >= len(table))).any()
    translated = table[integers] if inside else np.array(-1)
    if (translated < 0).any():
        known = np.flatnonzero(table >= 0)
        raise ValueError(
            f"{argument}: expected values {_spans(known)}, got also {_spans(np.setdiff1d(integers, known))}"
        )
    return translated


def _spans(values: np.ndarray) -> str:
    """Ascending integers in short: `0-10, 255`."""
    spans: list[list[int]] = []
    for value in values.tolist():
        if spans and value == spans[-1][-1] + 1:
            spans[-1][1:] = [value]
        else:
            spans.append([value])
    return ", ".join("-".join(map(str, span)) for span in spans)


def bundled_classes(name: str) -> ClassSet:
    """The class set of a class file in the folder `classes`."""
    return ClassSet.from_file(Path(__file__).with_name("classes") / f"{name}.json")


CAMVID = bundled_classes("camvid")
"""CamVid in eleven classes and void (value 11), as reduced for SegNet (Badrinarayanan et al., PAMI 2017).

Thin are the classes that stand on posts: poles are a few pixels wide in 360 rows of 480, and sign regions are small and
hang on such poles. Pedestrians and cyclists are small, but compact.
"""

STREETS = bundled_classes("streets")
"""The rendered street scenes of `offstride.data.Streets`."""

SEGMENTS = ClassSet(tuple(f"segment {number}" for number in range(40)))
"""The numbers of segments of `offstride.data.Segments`, in the order of painting."""
