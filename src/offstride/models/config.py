"""The configuration of a model, in plain values that a recipe or a checkpoint can hold."""

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, MISSING, asdict, dataclass, field, fields
from typing import Any, Self

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Architecture:
    """The parts of a model, without its classes and images: the settings that configurations and recipes share.

    Args:
        backbone: Any timm model with `features_only`, or one of ours.
        head: `"aspp"`, `"deeplabv3plus"`, `"denseaspp"`, `"dupsampling_decoder"`, `"encnet"`, `"fcn"`, `"linear"` or
            `"psp"`.
        upsampler: `"bilinear"`, `"carafe"`, `"cascaded_lau"`, `"deformable"`, `"dupsampling"`, `"dysample"`,
            `"guided_filter"`, `"joint_bilateral"`, `"lau"`, `"pixel_shuffle"`, `"residual"`, `"sapa"` or
            `"transposed"`.
        fusion: Fusion of the levels of the backbone, joined to the head's map: `"addition"`, `"concat"`, `"fpn"`,
            `"gated_fpn"`, `"gff"`, or None.
        output_stride: Stride of the coarse grid in image pixels: 8, 16 or 32, and more for cascades.
        multi_grid: Factors of the rates of the units of the last blocks (DeepLabv3), see `Backbone`.
        cascade: Last block of a cascade (5, 6 or 7; DeepLabv3), see `Backbone`.
        taps: Further features of the backbone for the head, by name (DUpsampling), see `Backbone`.
        backbone_options: Further arguments of `timm.create_model`.
        head_options: Arguments of the head. Unless `rates` are among them, those of ASPP are (6, 12, 18), doubled at
            output stride 8 (DeepLabv3, §3.3).
        upsampler_options: Arguments of the upsampler. LaU covers half of the output stride unless `scale` is among
            them, as in the paper (4 of 8), and moves each class on its own with `groups: classes`.
        fusion_options: Arguments of the fusion, see `FusionHead`.
        auxiliary: Name of the backbone feature with an auxiliary FCN head, such as `layer3` of ResNets.

    Raises:
        ValueError: If a number is out of range or an option cannot be written as JSON.
    """

    backbone: str
    _: KW_ONLY
    head: str = "fcn"
    upsampler: str = "bilinear"
    fusion: str | None = None
    output_stride: int = 16
    multi_grid: list[int] | None = None
    cascade: int | None = None
    taps: list[str] = field(default_factory=list)
    backbone_options: dict[str, Any] = field(default_factory=dict)
    head_options: dict[str, Any] = field(default_factory=dict)
    upsampler_options: dict[str, Any] = field(default_factory=dict)
    fusion_options: dict[str, Any] = field(default_factory=dict)
    auxiliary: str | None = None

    def __post_init__(self) -> None:
        check_count("output_stride", self.output_stride)
        for name in ("backbone_options", "head_options", "upsampler_options", "fusion_options"):
            check_options(name, getattr(self, name))

    def settings(self) -> dict[str, Any]:
        """The shared settings alone, as plain data; keywords of `create_model`."""
        values = asdict(self)
        return {entry.name: values[entry.name] for entry in fields(Architecture)}


@dataclass(frozen=True)
class ModelConfig(Architecture):
    """Everything that `create_model` needs; a checkpoint holds it.

    Args:
        classes: Number of classes.
        mean: Mean colour of images in 0 … 1; the backbone's by default.
        std: Standard deviation, likewise.
    """

    classes: int
    _: KW_ONLY
    mean: Triple | None = None
    std: Triple | None = None

    def __post_init__(self) -> None:
        check_count("classes", self.classes)
        super().__post_init__()
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, triple(name, value))

    def facts(self) -> dict[str, str]:
        """What a page says about the model."""
        return {
            "Backbone": self.backbone,
            "Head": " + ".join(part for part in (self.head, self.fusion) if part),
            "Upsampling": self.upsampler,
            "Output stride": str(self.output_stride),
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
        if not isinstance(values, Mapping):
            raise ValueError(f"model config: expected names and values, got {values!r}")
        known = {entry.name for entry in fields(cls)}
        required = {entry.name for entry in fields(cls) if entry.default is entry.default_factory is MISSING}
        if unknown := sorted(values.keys() - known):
            raise ValueError(f"model config: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        if missing := sorted(required - values.keys()):
            raise ValueError(f"model config: {', '.join(missing)} missing")
        return cls(**values)


def check_count(name: str, value: object) -> None:
    """Raise a `ValueError` unless the value is a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected a positive whole number, got {value!r}")


def check_options(name: str, options: object) -> None:
    """Raise a `ValueError` unless the options are a dictionary that JSON can hold."""
    if not isinstance(options, dict):
        raise ValueError(f"{name}: expected names and values, got {options!r}")
    try:
        json.dumps(options)
    except TypeError as error:
        raise ValueError(f"{name}: expected values that JSON can hold, got {options} ({error})") from error


def triple(name: str, value: object) -> Triple:
    """Three numbers; raises a `ValueError` that names them otherwise."""
    match value:
        case [int() | float() as red, int() | float() as green, int() | float() as blue]:
            return float(red), float(green), float(blue)
    raise ValueError(f"{name}: expected three numbers, got {value!r}")
