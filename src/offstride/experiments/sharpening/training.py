"""An upsampler learns from labels on a frozen model, whose coarse scores are computed once."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from offstride.data import SampleSet, TrainTransform
from offstride.experiments.sharpening.frozen import Frozen, Given
from offstride.features import Guides
from offstride.field import cross_entropy
from offstride.upsamplers import Upsampler

Progress = Callable[[int, int], None]
AVERAGE = 0.99
"""Weight of the past in the running mean of the weights."""
NOTHING: Progress = lambda done, total: None  # noqa: E731


@dataclass(frozen=True)
class UpsamplerTraining:
    """How an upsampler is trained.

    Args:
        steps: Steps of AdamW.
        crops: Random crops, whose coarse scores are computed once and kept in memory.
        crop: Height and width of a crop, in pixels, with one more where the model's first and last pixels coincide
            (`origin="aligned"`).
        batch_size: Crops of a step.
        learning_rate: At first; it falls to zero with the power 0.9.
        snapshots: Upsamplers that are kept along the way, the last one among them; the best is chosen later.
        seed: Of crops and their order.

    Raises:
        ValueError: If a number is out of range.
    """

    steps: int = 300
    crops: int = 240
    crop: int = 256
    batch_size: int = 4
    learning_rate: float = 3e-4
    snapshots: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "crops", "crop", "batch_size", "snapshots"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected a positive whole number, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate: expected a number above 0, got {self.learning_rate}")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """An upsampler after so many steps, and the mean loss of the steps since the last snapshot."""

    step: int
    upsampler: Upsampler
    loss: float


Crop = tuple[Given, Tensor]
"""What the upsampler is given for a crop, and the crop's labels."""


def cached_crops(
    frozen: Frozen, dataset: SampleSet, training: UpsamplerTraining, *, features: bool, progress: Progress = NOTHING
) -> list[Crop]:
    """Random crops of a data set, run through the frozen model once.

    Args:
        frozen: The model.
        dataset: Labelled images of its classes.
        training: How many, and how large.
        features: Keep the features, too: only an upsampler inside the universal one reads them.
        progress: Called with the number of crops done and their total.
    """
    frozen.check_classes(dataset.classes)
    side = training.crop + (frozen.own.origin == "aligned")
    transform = TrainTransform((side, side), scale=(0.75, 1.5), mean=frozen.model.mean, std=frozen.model.std)
    random, found = Random(training.seed), []
    order = _endless(len(dataset), random)
    for done in range(1, training.crops + 1):
        image, label = transform(dataset[next(order)], random.getrandbits(32))
        coarse = frozen.coarse(image[None].to(frozen.device))
        if not features:
            coarse = coarse._replace(features=coarse.scores[:, :1], guides=Guides(coarse.guides.image))
        found.append((coarse, label[None].to(frozen.device)))
        progress(done, training.crops)
    return found


def _endless(count: int, random: Random) -> Iterator[int]:
    """All indices in random order, again and again."""
    while True:
        yield from random.sample(range(count), count)


def train_upsampler(
    upsampler: Upsampler, crops: list[Crop], training: UpsamplerTraining, *, progress: Progress = NOTHING
) -> list[Snapshot]:
    """Train a copy of an upsampler; one inside it stays as it is. The running mean of its weights is kept, which
    forgets where it started within a few hundred steps.

    Args:
        upsampler: Where training starts.
        crops: See `cached_crops`.
        training: How it is trained.
        progress: Called with the number of steps done and their total.
    """
    learner, random = _learner(upsampler), Random(training.seed)
    averaged = copy.deepcopy(learner).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in learner.parameters() if p.requires_grad], lr=training.learning_rate)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, training.steps, 0.9)
    kept = {training.steps * part // training.snapshots for part in range(1, training.snapshots + 1)}
    order, losses, found = _endless(len(crops), random), [], []
    for step in range(1, training.steps + 1):
        coarse, label = _batch([crops[next(order)] for _ in range(training.batch_size)])
        loss = cross_entropy(coarse.field(learner), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        for mean, weight in zip(averaged.parameters(), learner.parameters(), strict=True):
            mean.lerp_(weight.detach(), 1 - AVERAGE)
        losses.append(loss.item())
        if step in kept:
            found.append(Snapshot(step, copy.deepcopy(averaged), sum(losses) / len(losses)))
            losses = []
        progress(step, training.steps)
    return found


def _learner(upsampler: Upsampler) -> Upsampler:
    learner = copy.deepcopy(upsampler).train().requires_grad_(True)
    inner = getattr(learner, "upsample", None)
    if isinstance(inner, Upsampler):
        inner.eval().requires_grad_(False)
    return learner


def _batch(crops: list[Crop]) -> Crop:
    parts = [coarse for coarse, _ in crops]
    image = None if parts[0].guides.image is None else torch.cat([part.guides.image for part in parts])  # type: ignore[misc]
    levels = [torch.cat(level) for level in zip(*(list(part.guides.levels) for part in parts), strict=True)]
    scores, features = (torch.cat([getattr(part, name) for part in parts]) for name in ("scores", "features"))
    return Given(scores, features, parts[0].size, Guides(image, levels), parts[0].finish), torch.cat(
        [label for _, label in crops]
    )
