"""The loss of a whole model: main field, location supervision and auxiliary fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from offstride.field import (
    Across,
    BilinearField,
    DenseField,
    LocatedField,
    LogitField,
    SubpixelField,
    check_labels,
    cross_entropy,
)
from offstride.losses.compressed_labels import compressed_label_loss
from offstride.losses.hard_pixels import hard_pixels
from offstride.losses.location import Normalize, offset_guided_loss, offset_regression_loss
from offstride.losses.scene import scene_loss
from offstride.ops.cross_entropy.labels import CheckedLabels
from offstride.ops.cross_entropy.options import (
    NO_TERMS,
    PENALTY,
    STRENGTH,
    CrossEntropyOptions,
    check_smoothing,
    check_window,
)
from offstride.ops.grid import Origin
from offstride.ops.interpolate import nearest_rows
from offstride.ops.location import Ties

LocationLoss = Literal["none", "guided", "regression"]
SuperviseAt = Literal["input", "upsampler"]
LabelSize = Literal["full", "downsampled"]


@dataclass(frozen=True)
class LossConfig:
    """What to minimise.

    Options of the cross-entropy have their defaults and limits from `offstride.ops.cross_entropy.options`.

    Args:
        location: `"guided"` (LaU, Eq. 3), `"regression"` (LaU, Eq. 4), or `"none"` for cross-entropy alone.
        penalty: λ of Eqs. 3 and 4.
        strength: γ of Eq. 4.
        window: Coarse locations that Eq. 4 looks at on every side of a pixel; 1 are the four corners of its cell.
        supervise_at: Where the loss of LaU followed by bilinear upsampling is computed: at the `"input"` resolution
            with the original labels, or on the grid of the `"upsampler"` against nearest-downsampled labels, as in the
            released code.
        labels: `"full"` compares scores upsampled to the size of the labels; `"downsampled"` the scores before bilinear
            upsampling with the nearest labels, which loses accuracy (DeepLabv3, Table 8).
        ties: Whether Eq. 3 penalises equal losses (as printed) or spares them (as released).
        normalize: Divide by `"valid"` pixels, or by `"all"` of them as in the released code.
        class_weights: One weight per class.
        label_smoothing: Share of the target spread over all classes.
        hard_share: Share of the valid pixels that the main loss keeps, the hardest; see `hard_pixels`.
        hard_probability: Probability of the true class below which a pixel is kept in any case.
        auxiliary: Weight of each auxiliary cross-entropy: 0.2 in LaU and EncNet, 0.4 in PSPNet and GFF.
        scene: Weight of the loss for the presence of classes, where the head has scores for it (EncNet).
        compressed: Weight of the regression to compressed labels (DUpsampling, Eq. 4), see `compressed_label_loss`; its
            value is up to r² for windows of r.
        main: Whether the cross-entropy, with what `location` adds to it, is minimised too. Without it `compressed` is
            the pre-training of the paper, in which W and the mean window get no gradient.
    """

    location: LocationLoss = "none"
    penalty: float = PENALTY
    strength: float = STRENGTH
    window: int = NO_TERMS["window"]
    supervise_at: SuperviseAt = "input"
    labels: LabelSize = "full"
    ties: Ties = NO_TERMS["ties"]
    normalize: Normalize = "valid"
    class_weights: list[float] | None = None
    label_smoothing: float = 0.0
    hard_share: float = 1.0
    hard_probability: float | None = None
    auxiliary: float = 0.2
    scene: float = 0.2
    compressed: float = 0.0
    main: bool = True

    def __post_init__(self) -> None:
        choices = {"location": LocationLoss, "supervise_at": SuperviseAt, "labels": LabelSize}
        for name, known in (choices | {"normalize": Normalize, "ties": Ties}).items():
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name}: expected one of {get_args(known)}, got {getattr(self, name)!r}")
        for name in ("penalty", "strength", "auxiliary", "scene", "compressed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected a number of at least 0, got {getattr(self, name)}")
        check_window(self.window)
        check_smoothing(self.label_smoothing)
        for name, value in (("hard_share", self.hard_share), ("hard_probability", self.hard_probability)):
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"{name}: expected a number in (0, 1], got {value}")
        if not self.main and not self.compressed:
            raise ValueError("main: expected true where compressed is 0, got false: nothing would be left to minimise")

    def cross_entropy_options(self, device: torch.device) -> CrossEntropyOptions:
        """Options of every cross-entropy, with class weights on a device."""
        weight = None if self.class_weights is None else torch.tensor(self.class_weights, device=device)
        return {"weight": weight, "label_smoothing": self.label_smoothing}


def segmentation_losses(
    main: LogitField,
    auxiliary: Mapping[str, LogitField],
    labels: Tensor | CheckedLabels,
    config: LossConfig,
    *,
    scene: Tensor | None = None,
    across: Across | None = None,
) -> dict[str, Tensor]:
    """All terms of the loss of a model, already weighted; minimise their sum.

    Args:
        main: The model's prediction, `(B, C, H, W)`.
        auxiliary: Its auxiliary predictions by name.
        labels: `(B, H, W)` integer classes, 255 where ignored; or what `offstride.field.check_labels` made of them with
            `config.cross_entropy_options`.
        config: What to minimise.
        scene: `(B, C)` scores for the presence of classes.
        across: See `offstride.field.Across`.

    Returns:
        `"main"` and `"compressed"` as configured, `"scene"` if there are such scores, and one entry for each auxiliary
        prediction.

    Raises:
        ValueError: If a location loss is set for a field without offsets, compressed labels for one without a
            basis, or labels do not fit.
    """
    given: CrossEntropyOptions = {}
    if isinstance(labels, Tensor):
        given = config.cross_entropy_options(labels.device)
    supervision = Supervision(check_labels(main, labels, **given), config)
    terms = {"main": _main_loss(*supervision.main(main), config, across)} if config.main else {}
    if config.compressed:
        if not isinstance(main, SubpixelField):
            raise ValueError(f"compressed: expected a prediction by DUpsampling, got a {type(main).__name__}")
        distance = compressed_label_loss(main.codes, supervision.labels, main.weight, main.bias, across=across)
        terms["compressed"] = config.compressed * distance
    if scene is not None:
        terms["scene"] = config.scene * scene_loss(scene, supervision.labels)
    return terms | {
        name: config.auxiliary * cross_entropy(*supervision.auxiliary(field), across=across)
        for name, field in auxiliary.items()
    }


def _main_loss(field: LogitField, checked: CheckedLabels, config: LossConfig, across: Across | None) -> Tensor:
    """Cross-entropy of the main prediction, with what `location` adds to it."""
    if config.location == "none":
        return cross_entropy(field, checked, across=across)
    common = {"penalty": config.penalty, "normalize": config.normalize, "across": across}
    if config.location == "guided":
        return offset_guided_loss(field, checked, ties=config.ties, **common)
    return offset_regression_loss(field, checked, strength=config.strength, window=config.window, **common)


class Supervision:
    """Pairs the fields of a step with their labels. All fields share the label maps, so that each is checked once.

    Args:
        labels: Checked labels of the image.
        config: See `LossConfig.labels`, `LossConfig.supervise_at` and `LossConfig.hard_share`.
    """

    def __init__(self, labels: CheckedLabels, config: LossConfig) -> None:
        self.labels, self.config = labels, config
        self._smaller: dict[tuple[tuple[int, ...], torch.Size, Origin], CheckedLabels] = {}

    def main(self, field: LogitField) -> tuple[LogitField, CheckedLabels]:
        """The field and the labels of the main loss."""
        field, checked = self.auxiliary(field)
        at_upsampler = self.config.supervise_at == "upsampler"
        if at_upsampler and isinstance(field, BilinearField) and isinstance(field.source, LocatedField):
            field, checked = field.source, self._nearest(checked, field.source, "corner")
        if self.config.hard_share < 1:
            share, probability = self.config.hard_share, self.config.hard_probability
            checked = checked.replaced(hard_pixels(field, checked, share=share, probability=probability))
        return field, checked

    def auxiliary(self, field: LogitField) -> tuple[LogitField, CheckedLabels]:
        """The field and the labels of an auxiliary loss.

        Raises:
            ValueError: If the field does not fit the labels, or labels are to be downsampled and it is no bilinear
                upsampling of scores.
        """
        checked = check_labels(field, self.labels)
        if self.config.labels == "full":
            return field, checked
        if not isinstance(field, BilinearField):
            raise ValueError(f"labels: expected 'full' for a prediction that is a {type(field).__name__}")
        source = DenseField(field.source) if isinstance(field.source, Tensor) else field.source
        return source, self._nearest(checked, source, field.origin)

    def _nearest(self, checked: CheckedLabels, field: LogitField, origin: Origin) -> CheckedLabels:
        """The labels nearest to the pixels of a coarser field."""
        H, W = field.shape[2:]
        key = (checked.shape, field.shape, origin)
        if key not in self._smaller:
            self._smaller[key] = checked.replaced(nearest_rows(checked.labels, (H, W), (0, H), origin=origin))
        return self._smaller[key]
