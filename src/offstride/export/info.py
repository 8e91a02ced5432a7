"""The description in an exported file, as JSON: all that is needed to use the file without this library."""

import json
from dataclasses import dataclass
from typing import Any, Self, get_args

from offstride import __version__
from offstride.data.catalog import ClassSet
from offstride.export.deployable import Input, Output
from offstride.models import ForeignConfig, ModelConfig
from offstride.models.foreign_config import config_from_dict
from offstride.ops.labels import IGNORE_INDEX

KEY = "offstride"
"""Key of the description in a file."""

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ExportInfo:
    """Description of an exported model.

    Attributes:
        config: The model, with the mean and deviation that images are normalised by.
        classes: Names and colours of the classes, if known.
        input: What it reads.
        output: What it returns.
        size: The only (H, W) that it takes; None for any.
        least: Shortest side that it takes, in pixels.
        batch: Number of images that it takes at a time; None for any.
    """

    config: ModelConfig | ForeignConfig
    classes: ClassSet | None
    input: Input
    output: Output
    size: tuple[int, int] | None
    least: int
    batch: int | None

    def to_json(self) -> str:
        """One line of JSON."""
        config = self.config
        return json.dumps(
            {
                "format_version": FORMAT_VERSION,
                "written_by": f"offstride {__version__}",
                "input": self.input,
                "output": self.output,
                "size": self.size,
                "least": self.least,
                "batch": self.batch,
                "mean": config.mean,
                "std": config.std,
                "origin": config.upsampler_options.get("origin", "center"),
                "output_stride": config.output_stride,
                "ignore_index": IGNORE_INDEX,
                "classes": self.classes and self.classes.to_dict(),
                "config": config.to_dict(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: If it is something else, or of a later version.
        """
        values = json.loads(text)
        version = values.get("format_version") if isinstance(values, dict) else None
        if not isinstance(version, int):
            raise ValueError(f"expected a format version in its description, got {text[:80]!r}")
        if version > FORMAT_VERSION:
            raise ValueError(f"has format version {version} ({values.get('written_by')}): update offstride")
        try:
            return cls._from_dict(values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"its description does not fit together ({error})") from error

    @classmethod
    def _from_dict(cls, values: dict[str, Any]) -> Self:
        for name, known in (("input", get_args(Input)), ("output", get_args(Output))):
            if values[name] not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {values[name]!r}")
        size, classes = values["size"], values["classes"]
        return cls(
            config_from_dict(values["config"]),
            ClassSet.from_dict(classes) if classes else None,
            values["input"],
            values["output"],
            None if size is None else (size[0], size[1]),
            values["least"],
            values["batch"],
        )
