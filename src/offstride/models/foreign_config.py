"""The configuration of a model of another library that ends in one of our upsamplers, in plain values."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Self

from offstride.models.config import ModelConfig, Triple, check_count, check_options, triple


@dataclass(frozen=True)
class ForeignConfig:
    """Everything that is needed to build such a model again, without its weights; a checkpoint holds it.

    Args:
        library: `"torchvision"`, `"transformers"` or `"smp"`.
        architecture: What the library builds the network from; see the modules of `offstride.replace.named`.
        classes: Number of classes.
        mean: Mean colour (red, green, blue) of images in 0 … 1.
        std: Standard deviation, likewise.
        stride: Pixels of the image for one of the coarse scores, rounded.
        factor: From the coarse scores to the output of the network.
        multiple: The network takes sides that are multiples of it; images are padded, and the scores cropped.
        reversed: Whether the network reads blue, green, red.
        upsampler: Name of the upsampler.
        upsampler_options: Its arguments.

    Raises:
        ValueError: If a number is out of range or an option cannot be written as JSON.
    """

    library: str
    architecture: dict[str, Any]
    classes: int
    mean: Triple
    std: Triple
    stride: int
    factor: int
    multiple: int = 1
    reversed: bool = False
    upsampler: str = "bilinear"
    upsampler_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("classes", "stride", "factor", "multiple"):
            check_count(name, getattr(self, name))
        for name in ("architecture", "upsampler_options"):
            check_options(name, getattr(self, name))
        for name in ("mean", "std"):
            object.__setattr__(self, name, triple(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise ValueError(f"std: expected numbers above 0, got {self.std}")

    @property
    def output_stride(self) -> int:
        """The stride, as in the configuration of our own models."""
        return self.stride

    @property
    def name(self) -> str:
        """Library and model, for people."""
        return f"{self.library} {self.architecture.get('builder') or self.architecture.get('class')}"

    def facts(self) -> dict[str, str]:
        """What a page says about the model."""
        return {
            "Network": self.name,
            "Upsampling": self.upsampler,
            "Output stride": str(self.stride),
            "Classes": str(self.classes),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON and YAML can hold; the opposite of `from_dict`."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain data.

        Raises:
            ValueError: Naming unknown or missing keys.
        """
        known = {entry.name for entry in fields(cls)}
        required = {entry.name for entry in fields(cls) if entry.default is entry.default_factory is MISSING}
        if wrong := sorted((values.keys() - known) | (required - values.keys())):
            raise ValueError(
                f"model config: expected {', '.join(sorted(known))}; unknown or missing {', '.join(wrong)}"
            )
        return cls(**values)


def config_from_dict(values: Any) -> ModelConfig | ForeignConfig:
    """The configuration of one of our models, or of another library's, from plain data.

    Raises:
        ValueError: Naming unknown or missing keys.
    """
    foreign = isinstance(values, Mapping) and "library" in values
    return ForeignConfig.from_dict(values) if foreign else ModelConfig.from_dict(values)
