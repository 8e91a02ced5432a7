"""A recipe: everything that determines a training run. The command line and YAML files are these classes."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from offstride.data.build import DATASETS
from offstride.losses import LossConfig
from offstride.models.config import Architecture
from offstride.models.presets import preset_config

if TYPE_CHECKING:
    DataName = str
else:
    DataName = Literal[tuple(DATASETS)]
"""Data sets that recipes name; `offstride.data.build_dataset` opens them."""


def _check_positive(recipe: object, *names: str) -> None:
    for name in names:
        if (value := getattr(recipe, name)) <= 0:
            raise ValueError(f"{name}: expected a number above 0, got {value}")


@dataclass(frozen=True)
class DataRecipe:
    """What to train on and how it is augmented.

    Args:
        name: A data set as `offstride.data.build_dataset` knows them: `"folder"` (images and masks with a class list),
            `"shards"`, one of the papers', or `"streets"` (procedural scenes, nothing to download).
        root: Folder of the data set; not for `"streets"`.
        train: Split to train on; a `+` joins splits.
        val: Split that chooses the best checkpoint.
        count: Number of procedural training scenes.
        val_count: Number of procedural validation scenes.
        size: (height, width) of procedural scenes.
        crop: (height, width) of training crops.
        base: Length in pixels that a side of each image is brought to before random scaling (LaU: 520); None leaves
            images as they are.
        base_side: Which side that is: the `"short"` one or the `"long"` one.
        scale: Range of random scaling.
        flip: Probability of a horizontal flip.
        jitter: Strength of random brightness, contrast and saturation.
        hue: Largest random shift of the hue, as a share of the colour circle, 0 to 0.5.
        blur: Probability of a Gaussian blur of random width.
        repeat: Names of classes: images that hold one of them are listed `repeats` times in the training split
            (DeepLabv3's bootstrapping on hard images).
        repeats: How often these images are listed.
        workers: Processes that load data.
    """

    name: DataName = "streets"
    root: Path | None = None
    train: str = "train"
    val: str = "val"
    count: int = 1000
    val_count: int = 50
    size: tuple[int, int] = (192, 256)
    crop: tuple[int, int] = (192, 256)
    base: int | None = None
    base_side: Literal["short", "long"] = "short"
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    jitter: float = 0.0
    hue: float = 0.0
    blur: float = 0.0
    repeat: list[str] = field(default_factory=list)
    repeats: int = 2
    workers: int = 1

    def __post_init__(self) -> None:
        _check_positive(self, "repeats")


@dataclass(frozen=True)
class ModelRecipe(Architecture):
    """Which model to build, and from which weights; the number of classes and the normalisation follow from data and
    backbone.

    Args:
        pretrained: `true` for timm's own weights, or the path of a safetensors file.
        basis: File with a basis of the labels, which DUpsampling starts from (`offstride fit-upsampling` writes it).
        start: Model file of an earlier run, whose weights training starts from: after a pre-training with
            `loss.compressed`, say. It holds the basis already.
        start_parts: Parts that are taken over from `start`, of `backbone`, `head`, `fusion`, `classifier`, `upsampler`
            and `auxiliary`: GFF's fusions start from a PSPNet. The file's model may have other parts beside them. Empty
            for the whole model.
    """

    backbone: str = "mobilenetv2_100"
    pretrained: bool | str = False
    basis: Path | None = None
    start: Path | None = None
    start_parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.basis is not None and self.takes_over("upsampler"):
            raise ValueError(f"basis: cannot be combined with start, whose weights replace it, got {self.basis}")

    @classmethod
    def from_preset(cls, name: str, **settings: Any) -> Self:
        """The recipe of a published model (`offstride models` lists them), in which `settings` replace its own.

        Raises:
            ValueError: If there is no such model.
        """
        return cls(**{**preset_settings(name), **settings})

    def takes_over(self, part: str) -> bool:
        """Whether a part starts from `start`."""
        return self.start is not None and (not self.start_parts or part in self.start_parts)

    def after(self, start: Path) -> Self:
        """The model that begins with the weights of an earlier run, in place of its own `start` and of the `pretrained`
        backbone and the `basis` that these replace.
        """
        begun = replace(self, basis=None, start=start)
        basis = None if begun.takes_over("upsampler") else self.basis
        return replace(begun, basis=basis, pretrained=not begun.takes_over("backbone") and self.pretrained)


def preset_settings(name: str) -> dict[str, Any]:
    """All settings of a published model that a `ModelRecipe` has, its defaults among them.

    Raises:
        ValueError: If there is no such model.
    """
    return preset_config(name).settings()


@dataclass(frozen=True)
class OptimizerRecipe:
    """How parameters move.

    Args:
        name: `"sgd"` or `"adamw"`.
        learning_rate: Initial rate of the backbone.
        head_multiplier: Rate of everything else, as a multiple.
        momentum: Of SGD.
        offset_multiplier: Rate of all layers that predict offsets (LaU, DySample, deformable convolution), as a
            multiple of that of the head; without effect on models without offsets.
        bias_multiplier: Rate of all other biases, as a multiple of that of the weights beside them; 2 in the released
            DeepLab.
        weight_decay: For convolution weights.
        decay_norm: Whether normalisation layers decay.
        decay_bias: Whether biases decay.
        decay_offsets: Whether layers that predict offsets decay, biases included; in the LaU release they do not.
        decay_depthwise: Whether the kernels of depthwise convolutions decay; with Xception in DeepLab they do not.
        power: Exponent of the polynomial decay of the rate, per iteration.
        warmup: Iterations of linear warm-up.
        clip: Largest norm of the gradient; 0 for no limit.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    head_multiplier: float = 10.0
    offset_multiplier: float = 1.0
    bias_multiplier: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_norm: bool = False
    decay_bias: bool = False
    decay_offsets: bool = False
    decay_depthwise: bool = True
    power: float = 0.9
    warmup: int = 0
    clip: float = 0.0

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate", "head_multiplier", "offset_multiplier", "bias_multiplier", "power")


@dataclass(frozen=True)
class ScheduleRecipe:
    """How long, how often and on what.

    Args:
        steps: Iterations.
        epochs: If set, takes the place of `steps`: as many iterations as show every image of the training split this
            often, to the nearest whole one.
        batch_size: Images of one iteration, over all processes and micro-batches.
        accumulate: Micro-batches of one iteration, one after another: memory is needed for one of them, the gradient is
            that of all. Only batch normalisation notices: it sees micro-batches.
        validate_every: Iterations between validations; there is one at least.
        checkpoint_every: Iterations between checkpoints to resume from.
        log_every: Iterations between log lines.
        freeze_norm: Whose batch normalisation keeps its statistics and parameters: of `"none"`, the `"backbone"`, or
            `"all"`.
        train_parts: Parts that are trained, of `backbone`, `head`, `fusion`, `classifier`, `upsampler` and `auxiliary`;
            all others keep their weights and batch statistics, and take no gradients. Empty for the whole model.
        norm_momentum: Share that a batch has in the running statistics of batch normalisation; None for each
            layer's own, mostly 0.1. The decay of 0.9997 in DeepLabv3 is 0.0003 here.
        sync_norm: Synchronise batch normalisation over GPUs.
        precision: As Lightning names it: `"32-true"`, `"bf16-mixed"`, `"16-mixed"`.
        accelerator: As Lightning names it: `"auto"`, `"cpu"`, `"gpu"`.
        devices: Processes on this node.
        nodes: Number of nodes.
        channels_last: Keep images and features channels-last in memory, which convolutions are fast on.
        seed: Of weights, data order and augmentation.
        deterministic: Use deterministic algorithms only.
    """

    steps: int = 1000
    epochs: float | None = None
    batch_size: int = 8
    accumulate: int = 1
    validate_every: int = 250
    checkpoint_every: int = 50
    log_every: int = 10
    freeze_norm: Literal["none", "backbone", "all"] = "none"
    train_parts: list[str] = field(default_factory=list)
    norm_momentum: float | None = None
    sync_norm: bool = False
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    channels_last: bool = True
    seed: int = 0
    deterministic: bool = False

    def __post_init__(self) -> None:
        _check_positive(
            self,
            "steps",
            "batch_size",
            "validate_every",
            "checkpoint_every",
            "log_every",
            "accumulate",
            "devices",
            "nodes",
        )
        if self.epochs is None:
            object.__setattr__(self, "validate_every", min(self.validate_every, self.steps))
        else:
            _check_positive(self, "epochs")
        parts = self.devices * self.nodes * self.accumulate
        if self.batch_size % parts:
            raise ValueError(
                f"batch_size: expected a multiple of the {parts} parts of a batch (devices × nodes × accumulate), "
                f"got {self.batch_size}"
            )

    def for_images(self, count: int) -> "ScheduleRecipe":
        """The schedule on a training split of `count` images: its length in `steps`."""
        if self.epochs is None:
            return self
        return replace(self, steps=max(1, round(self.epochs * count / self.batch_size)), epochs=None)


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Args:
        data: What to train on.
        model: What to train.
        loss: What to minimise.
        optimizer: How parameters move.
        schedule: How long, how often and on what.
    """

    data: DataRecipe = field(default_factory=DataRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain dictionaries, lists, strings and numbers: what its YAML file holds."""
    return json.loads(json.dumps(asdict(recipe), default=str))
