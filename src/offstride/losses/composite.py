"""The loss of a whole model: main field, location supervision and auxiliary fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

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
from offstride.losses.location import Normalize
from offstride.losses.offset_guided import offset_guided_loss
from offstride.losses.offset_regression import offset_regression_loss
from offstride.losses.scene import scene_loss
from offstride.ops.interpolate import nearest_rows
from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.location import Ties

LocationLoss = Literal["none", "guided", "regression"]
SuperviseAt = Literal["input", "upsampler"]
LabelSize = Literal["full", "downsampled"]


@dataclass(frozen=True)
class LossConfig:
    """What to minimise.

    Args:
        location: `"guided"` (LaU, Eq. 3), `"regression"` (LaU, Eq. 4), or `"none"` for cross-entropy alone.
        penalty: λ of Eqs. 3 and 4.
        strength: γ of Eq. 4.
        window: Coarse locations that Eq. 4 looks at on every side of a pixel; 1 are the four corners of its cell.
        supervise_at: Where LaU followed by bilinear upsampling meets its labels: at the `"input"` resolution, with
            labels intact, or on the grid of the `"upsampler"` against nearest-downsampled labels, as in the released
            code.
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
    penalty: float = 0.3
    strength: float = 0.1
    window: int = 1
    supervise_at: SuperviseAt = "input"
    labels: LabelSize = "full"
    ties: Ties = "penalize"
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
        for name, value, known in (
            ("location", self.location, get_args(LocationLoss)),
            ("supervise_at", self.supervise_at, get_args(SuperviseAt)),
            ("labels", self.labels, get_args(LabelSize)),
            ("ties", self.ties, get_args(Ties)),
            ("normalize", self.normalize, get_args(Normalize)),
        ):
            if value not in known:
                raise ValueError(f"{name}: expected one of {known}, got {value!r}")
        for name in ("penalty", "strength", "auxiliary", "scene", "compressed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected a number of at least 0, got {getattr(self, name)}")
        if self.window < 1:
            raise ValueError(f"window: expected 1 or more, got {self.window}")
        for name, value in (("hard_share", self.hard_share), ("hard_probability", self.hard_probability)):
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"{name}: expected a number in (0, 1], got {value}")
        if not self.main and not self.compressed:
            raise ValueError("main: expected true where compressed is 0, got false: nothing would be left to minimise")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing: expected a share in [0, 1), got {self.label_smoothing}")


def segmentation_losses(
    main: LogitField,
    auxiliary: Mapping[str, LogitField],
    labels: Tensor,
    config: LossConfig,
    *,
    scene: Tensor | None = None,
    across: Across | None = None,
) -> dict[str, Tensor]:
    """All terms of the loss of a model, already weighted; minimise their sum.

    Args:
        main: The model's prediction, `(B, C, H, W)`.
        auxiliary: Its auxiliary predictions by name.
        labels: `(B, H, W)` integer classes, 255 where ignored.
        config: What to minimise.
        scene: `(B, C)` scores for the presence of classes.
        across: See `offstride.field.Across`.

    Returns:
        `"main"` and `"compressed"` as configured, `"scene"` if there are such scores, and one entry for each auxiliary
        prediction.

    Raises:
        ValueError: If a location loss is asked for a field without offsets, compressed labels for one without a
            basis, or labels do not fit.
    """
    weight = None if config.class_weights is None else torch.tensor(config.class_weights, device=labels.device)
    options = {"weight": weight, "label_smoothing": config.label_smoothing, "across": across}
    terms = {"main": _main_loss(main, labels, config, options)} if config.main else {}
    if config.compressed:
        terms["compressed"] = config.compressed * _compressed_loss(main, labels, across)
    if scene is not None:
        terms["scene"] = config.scene * scene_loss(scene, labels)
    return terms | {
        name: config.auxiliary * cross_entropy(*_met(field, labels, config), **options)
        for name, field in auxiliary.items()
    }


def _main_loss(main: LogitField, labels: Tensor, config: LossConfig, options: dict[str, Any]) -> Tensor:
    """Cross-entropy of the main prediction, with what `location` adds to it."""
    field, target = supervision(*_met(main, labels, config), config.supervise_at)
    if config.hard_share < 1:
        target = hard_pixels(field, target, share=config.hard_share, probability=config.hard_probability)
    if config.location == "guided":
        return offset_guided_loss(
            field, target, penalty=config.penalty, ties=config.ties, normalize=config.normalize, **options
        )
    if config.location == "regression":
        return offset_regression_loss(
            field,
            target,
            penalty=config.penalty,
            strength=config.strength,
            window=config.window,
            normalize=config.normalize,
            **options,
        )
    return cross_entropy(field, target, **options)


def _compressed_loss(main: LogitField, labels: Tensor, across: Across | None) -> Tensor:
    if not isinstance(main, SubpixelField):
        raise ValueError(f"compressed: expected a prediction by DUpsampling, got a {type(main).__name__}")
    check_labels(main, labels, IGNORE_INDEX)
    return compressed_label_loss(main.codes, labels, main.weight, main.bias, across=across)


def _met(field: LogitField, labels: Tensor, config: LossConfig) -> tuple[LogitField, Tensor]:
    """The field and the labels at the size where they meet; see `LossConfig.labels`."""
    return (field, labels) if config.labels == "full" else downsampled(field, labels)


def downsampled(field: LogitField, labels: Tensor) -> tuple[LogitField, Tensor]:
    """A field before its bilinear upsampling, and the labels nearest to its scores.

    Raises:
        ValueError: If the field is no bilinear upsampling of scores, or labels do not fit it.
    """
    if not isinstance(field, BilinearField):
        raise ValueError(f"labels: expected 'full' for a prediction that is a {type(field).__name__}")
    check_labels(field, labels, IGNORE_INDEX)
    source = DenseField(field.source) if isinstance(field.source, Tensor) else field.source
    size = (source.shape[2], source.shape[3])
    return source, nearest_rows(labels, size, (0, size[0]), origin=field.origin)


def supervision(field: LogitField, labels: Tensor, at: SuperviseAt) -> tuple[LogitField, Tensor]:
    """The field and the labels that meet in the loss; see `LossConfig.supervise_at`."""
    check_labels(field, labels, IGNORE_INDEX)
    if at == "upsampler" and isinstance(field, BilinearField) and isinstance(field.source, LocatedField):
        field = field.source
        size = (field.shape[2], field.shape[3])
        return field, nearest_rows(labels, size, (0, size[0]), origin="corner")
    return field, labels
