"""The learned upper bound of a decoder: "Decoders Matter for Semantic Segmentation" (DUpsampling), Tian et al., CVPR
2019, §4.1.1 and Table 1, mIoU*.

A light network reads the labels instead of an image: a 3×3 convolution of stride 2 for each halving of the resolution
(five for 32, four for 16), then the decoder. How well it reproduces the labels of images that it was not trained on
bounds what any network can reach with this decoder at this resolution.

The paper leaves the width of the convolutions open, and what follows each of them; here it is batch normalisation and
ReLU. Training is that of the paper (SGD, rate 0.07 with polynomial decay) but for its length, and the temperature is
learned by its logarithm.

Shapes: B batch, n classes, r the factor, D channels, h×w coarse grid, H×W labels.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from offstride.data import SampleSet, SampleStream, TrainingSet, TrainTransform
from offstride.evaluate.upper_bound import check_choice, one_hot, reconstruction_bounds
from offstride.field import LogitField, cross_entropy
from offstride.upsamplers import Bilinear, DUpsampling, LabelBasis

if TYPE_CHECKING:
    from offstride.metrics import SegmentationScores

Trained = Literal["bilinear", "dupsampling"]


@dataclass(frozen=True)
class LabelTraining:
    """Options of the training of a label network.

    Args:
        steps: Iterations; 100,000 in the paper.
        batch_size: Label maps of one iteration.
        crop: (height, width) of training crops.
        scale: Range of random scaling.
        learning_rate: Initial rate of SGD with momentum 0.9, which decays as `(1 - step / steps) ** 0.9`.
        weight_decay: For all parameters but biases and normalisation.
        channels: Channels C̃ of the code of DUpsampling.
        widths: Output channels of the convolutions, finest first; the last ones repeat the last.
        workers: Processes that load data.
    """

    steps: int = 1000
    batch_size: int = 8
    crop: tuple[int, int] = (256, 256)
    scale: tuple[float, float] = (0.5, 2.0)
    learning_rate: float = 0.07
    weight_decay: float = 1e-4
    channels: int = 64
    widths: tuple[int, ...] = (32, 64, 128, 256, 256)
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "channels"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths: expected positive whole numbers, got {self.widths}")


class LabelNetwork(nn.Module):
    """Labels in, labels out, through a coarse grid.

    Args:
        classes: Number of classes n.
        scale: Factor r, a power of two.
        decoder: `"dupsampling"`, or `"bilinear"` after a 1×1 classifier.
        widths: See `LabelTraining`.
        channels: See `LabelTraining`.
        basis: Initial W and mean window; random without one.

    Raises:
        ValueError: If an argument is out of range, or the basis does not fit.
    """

    def __init__(
        self,
        classes: int,
        scale: int,
        decoder: Trained,
        *,
        widths: tuple[int, ...] = (32, 64, 128, 256, 256),
        channels: int = 64,
        basis: LabelBasis | None = None,
    ) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError(f"scale: expected a power of two from 2 on, got {scale}")
        check_choice("decoder", decoder, get_args(Trained))
        self.classes = classes
        halvings = scale.bit_length() - 1
        outputs = [widths[min(index, len(widths) - 1)] for index in range(halvings)]
        self.layers = nn.Sequential(*map(_halving, (classes, *outputs), outputs))
        if decoder == "bilinear":
            self.classifier, self.upsampler = nn.Conv2d(outputs[-1], classes, 1), Bilinear()
        else:
            self.classifier = nn.Identity()
            self.upsampler = DUpsampling(outputs[-1], classes, scale, channels)
            if basis is not None:
                self.upsampler.set_basis(basis)

    def forward(self, labels: Tensor) -> LogitField:
        """Field of shape `(B, n, H, W)` over `(B, H, W)` labels; ignored pixels are of no class."""
        features = self.layers(one_hot(labels, self.classes))
        return self.upsampler(self.classifier(features), features, (labels.shape[1], labels.shape[2]))


def _halving(inputs: int, outputs: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


@dataclass(frozen=True, eq=False)
class LearnedBound:
    """Result of one trained label network.

    Attributes:
        scores: On the validation labels.
        losses: Cross-entropy of every step.
    """

    scores: SegmentationScores
    losses: list[float] = field(repr=False)


def learned_bound(
    train_set: SampleSet,
    val_set: SampleSet,
    decoder: Trained,
    scale: int,
    training: LabelTraining,
    *,
    seed: int = 0,
    basis: LabelBasis | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LearnedBound:
    """Train a `LabelNetwork` and score it; the seed determines all random numbers.

    Args:
        train_set: Labels to train on.
        val_set: Labels to score on, as whole maps.
        decoder: `"dupsampling"` or `"bilinear"`.
        scale: Factor r, a power of two.
        training: Options of the training.
        seed: Of weights, order and augmentation.
        basis: Initial basis of DUpsampling.
        device: Device of the training.
        progress: Called with the number of steps done and their total.

    Raises:
        ValueError: If an argument is out of its range.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = {"widths": training.widths, "channels": training.channels, "basis": basis}
        network = LabelNetwork(len(train_set.classes), scale, decoder, **shape).to(device)
        losses = _train(network, train_set, training, seed, progress)
    return LearnedBound(reconstruction_bounds(val_set, {"": network.eval()}, device=device)[""], losses)


def _train(
    network: LabelNetwork, dataset: SampleSet, training: LabelTraining, seed: int, progress: Callable[[int, int], None]
) -> list[float]:
    """Loss of each step."""
    device = next(network.parameters()).device
    optimizer = _optimizer(network, training)
    schedule = LambdaLR(optimizer, lambda step: (1 - step / training.steps) ** 0.9)
    network.train()
    losses = []
    for step, labels in enumerate(islice(_batches(dataset, training, seed), training.steps), 1):
        labels = labels.to(device)
        loss = cross_entropy(network(labels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        progress(step, training.steps)
    return losses


def _optimizer(network: LabelNetwork, training: LabelTraining) -> torch.optim.SGD:
    decaying = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": decaying, "weight_decay": training.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=training.learning_rate, momentum=0.9)


def _batches(dataset: SampleSet, training: LabelTraining, seed: int) -> Iterator[Tensor]:
    """Endless `(B, h, w)` label crops, augmented as images are."""
    transform = TrainTransform(crop=training.crop, scale=training.scale)
    crops = TrainingSet(dataset, transform, seed)
    stream = SampleStream(len(dataset), seed)
    for _, labels in DataLoader(crops, training.batch_size, sampler=stream, num_workers=training.workers):
        yield labels


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """Mean and standard deviation of a sample (0 for a single value)."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
