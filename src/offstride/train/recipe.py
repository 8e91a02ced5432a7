"""Recipes: all settings of a training run. YAML files and the command line set the fields of these classes."""

import json
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from offstride.data import TrainTransform
from offstride.data.build import DATASETS
from offstride.losses import LossConfig
from offstride.models.config import Architecture, Triple
from offstride.models.presets import preset_config

if TYPE_CHECKING:
    DataName = str
else:
    DataName = Literal[tuple(DATASETS)]
"""Names of data sets in recipes; see `offstride.data.build_dataset`."""


def _check_positive(recipe: object, *names: str) -> None:
    for name in names:
        if (value := getattr(recipe, name)) <= 0:
            raise ValueError(f"{name}: expected a number above 0, got {value}")


@dataclass(frozen=True)
class DataRecipe:
    """What to train on and how it is augmented.

    Args:
        name: Name for `offstride.data.build_dataset`: `"folder"` (images and masks with a class list), `"shards"`, a
            data set of the papers, or `"streets"` (procedural scenes, nothing to download).
        root: Folder of the data set; not for `"streets"`.
        train: Split to train on; a `+` joins splits.
        val: Split that chooses the best checkpoint.
        count: Number of procedural training scenes.
        val_count: Number of procedural validation scenes.
        size: (height, width) of procedural scenes.
        crop: (height, width) of training crops.
        base: Resize each image so that one side has this many pixels before random scaling (LaU: 520); None keeps the
            original size.
        base_side: The side that `base` sets: `"short"` or `"long"`.
        scale: Range of random scaling.
        flip: Probability of a horizontal flip.
        jitter: Strength of random brightness, contrast and saturation.
        hue: Largest random shift of the hue, as a share of the colour circle, 0 to 0.5.
        blur: Probability of a Gaussian blur of random width.
        repeat: Names of classes; images with one of them occur `repeats` times in the training split (DeepLabv3's
            bootstrapping on hard images).
        repeats: Number of times that these images occur.
        workers: Processes that load data.
        cache: Compute the outputs of the frozen parts once, where only the upsampler is trained
            (`schedule.train_parts: [upsampler]`); a step then costs the upsampler alone. Crops lie on the grid of the
            coarse scores, and `jitter`, `hue` and `blur` must be 0.
        cache_scales: With `cache`, the factors by which images are scaled, in place of the range `scale`. Images are
            computed and kept once for each, and mirrored once more.
        cache_dir: Folder of the cache; `cache` in the directory of the run by default. Runs may share it: a changed
            model or image is noticed.
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
    cache: bool = False
    cache_scales: list[float] = field(default_factory=lambda: [1.0])
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "repeats")
        if self.cache:
            self._check_cache()

    def _check_cache(self) -> None:
        for name in ("jitter", "hue", "blur"):
            if value := getattr(self, name):
                raise ValueError(
                    f"{name}: expected 0 with data.cache, because what is computed once sees one image, got {value}"
                )
        if not self.cache_scales or min(self.cache_scales) <= 0:
            raise ValueError(f"cache_scales: expected one or more numbers above 0, got {self.cache_scales}")

    def transform(self, mean: Triple, std: Triple) -> TrainTransform:
        """Augmentation of training samples, and normalisation by these colours (in 0 … 1).

        Raises:
            ValueError: If a setting is out of range.
        """
        names = ("crop", "scale", "flip", "jitter", "base", "base_side", "hue", "blur")
        return TrainTransform(mean=mean, std=std, **{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class ModelRecipe(Architecture):
    """Which model to build, and from which weights; the number of classes and the normalisation follow from data and
    backbone.

    Args:
        pretrained: `true` for timm's own weights, or the path of a safetensors file.
        basis: File with a basis of the labels, which DUpsampling starts from (`offstride fit-upsampling` writes it).
        start: Model file whose weights training starts from, such as one pre-trained with `loss.compressed`. It
            contains the basis.
        start_parts: Parts that start from `start`, of `backbone`, `head`, `fusion`, `classifier`, `upsampler` and
            `auxiliary`, e.g. for GFF from a PSPNet; the file's model may have other parts. Empty for the whole model.
        reference: A model of another library in place of all parts but the upsampler, as `offstride.open_model` takes
            it, such as `torchvision:fcn_resnet50`. Its parts are `backbone`, `head`, `auxiliary` and `upsampler`.
        reference_options: What is missing in it: `classes` (names), `mean` and `std`.
    """

    backbone: str = "mobilenetv2_100"
    pretrained: bool | str = False
    basis: Path | None = None
    start: Path | None = None
    start_parts: list[str] = field(default_factory=list)
    reference: str | None = None
    reference_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := self.reference_options.keys() - {"classes", "mean", "std"}:
            raise ValueError(f"reference_options: expected classes, mean, std, got {', '.join(sorted(unknown))}")
        self._check_reference()
        if self.basis is not None and self.takes_over("upsampler"):
            raise ValueError(f"basis: cannot be combined with `start`, which already contains it; got {self.basis}")

    def _check_reference(self) -> None:
        """Raise a `ValueError` if settings of our own models stand beside a model of another library."""
        if self.reference is None:
            return
        free = {"upsampler", "upsampler_options", "reference", "reference_options"}
        defaults = {entry.name: entry for entry in fields(self) if entry.name not in free}
        changed = [
            name
            for name, entry in defaults.items()
            if getattr(self, name) != (entry.default if entry.default_factory is MISSING else entry.default_factory())
        ]
        if changed:
            raise ValueError(f"reference: expected upsampler settings alone beside it, got {', '.join(changed)}")

    @classmethod
    def from_preset(cls, name: str, **settings: Any) -> Self:
        """The recipe of a published model (see `offstride models`); `settings` override its own.

        Raises:
            ValueError: If there is no such model.
        """
        return cls(**{**preset_config(name).settings(), **settings})

    def takes_over(self, part: str) -> bool:
        """Whether a part starts from `start`."""
        return self.start is not None and (not self.start_parts or part in self.start_parts)

    def after(self, start: Path) -> Self:
        """This model with the weights of an earlier run, which replace `start`, `pretrained` backbone and `basis`."""
        begun = replace(self, basis=None, start=start)
        basis = None if begun.takes_over("upsampler") else self.basis
        return replace(begun, basis=basis, pretrained=not begun.takes_over("backbone") and self.pretrained)


@dataclass(frozen=True)
class OptimizerRecipe:
    """How parameters are updated.

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
    """Length, batches, intervals and hardware of a training.

    Args:
        steps: Iterations.
        epochs: Passes over the training split; if set, it replaces `steps` (rounded to a whole number of iterations).
        batch_size: Images of one iteration, over all processes and micro-batches.
        accumulate: Micro-batches of one iteration, one after another. Memory is needed for one of them, the gradient is
            that of all; batch normalisation uses statistics of micro-batches.
        validate_every: Iterations between validations; there is one at least.
        checkpoint_every: Iterations between checkpoints to resume from.
        log_every: Iterations between log lines.
        freeze_norm: Where batch normalisation keeps its statistics and parameters: `"none"`, `"backbone"` or `"all"`.
        train_parts: Parts that are trained, of `backbone`, `head`, `fusion`, `classifier`, `upsampler` and `auxiliary`;
            the weights and batch statistics of all others are frozen. Empty for the whole model.
        norm_momentum: Weight of a batch in the running statistics of batch normalisation; None for each layer's own,
            mostly 0.1. The decay of 0.9997 in DeepLabv3 is 0.0003 here.
        sync_norm: Synchronise batch normalisation over GPUs.
        precision: Of Lightning: `"32-true"`, `"bf16-mixed"`, `"16-mixed"`.
        accelerator: Of Lightning: `"auto"`, `"cpu"`, `"gpu"`.
        devices: Processes on this node.
        nodes: Number of nodes.
        channels_last: Store images and features in channels-last order, in which convolutions are fast.
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
        _check_positive(self, "steps", "batch_size", "accumulate", "devices", "nodes")
        _check_positive(self, "validate_every", "checkpoint_every", "log_every")
        if self.epochs is None:
            object.__setattr__(self, "validate_every", min(self.validate_every, self.steps))
        else:
            _check_positive(self, "epochs")
        parts = self.devices * self.nodes * self.accumulate
        if self.batch_size % parts:
            expected = f"a multiple of the {parts} parts of a batch (devices × nodes × accumulate)"
            raise ValueError(f"batch_size: expected {expected}, got {self.batch_size}")

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
        optimizer: How parameters are updated.
        schedule: Length, batches, intervals and hardware.
    """

    data: DataRecipe = field(default_factory=DataRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)

    def __post_init__(self) -> None:
        parts = self.schedule.train_parts
        if self.data.cache and list(parts) != ["upsampler"]:
            got = f"[{', '.join(parts)}]" if parts else "the whole model"
            raise ValueError(
                f"data.cache: expected schedule.train_parts: [upsampler], so that all else is frozen, got {got}"
            )


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain dictionaries, lists, strings and numbers: what its YAML file holds."""
    return json.loads(json.dumps(asdict(recipe), default=str))
