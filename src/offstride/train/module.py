"""The training step: a model, its loss and its metrics as a Lightning module."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader

from offstride.data import EvalTransform, SampleSet, SampleStream, TrainingSet
from offstride.evaluate import LabelledImages
from offstride.features import Coarse
from offstride.field import Across, LogitField, confusion
from offstride.inference import predict_whole
from offstride.losses import segmentation_losses
from offstride.metrics import ConfusionMatrix
from offstride.models import BaseSegmenter, Decoded, Segmenter
from offstride.ops.cross_entropy.labels import CheckedLabels, check_targets
from offstride.train.optimizer import build_optimizer, build_scheduler, freeze_norm, parameter_groups, set_norm_momentum
from offstride.train.processes import mean_across_processes
from offstride.train.recipe import Recipe
from offstride.train.run_cache import RunCache

Batch = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Coarse]
"""Images, labels and, where they are kept, the outputs of frozen parts."""


class SegmentationModule(L.LightningModule):
    """Trains a `Segmenter` by a recipe.

    Everything random in step `s` is a function of the seed and of `s`: sample order, augmentation and dropout. A
    resumed run therefore continues as if it had never stopped.

    Args:
        model: What to train.
        recipe: How.
        train_set: Augmented samples, addressed by `SampleStream`.
        val_set: Samples as they are.
        cache: Outputs of the frozen parts for both; None to compute them in each step.
    """

    def __init__(
        self,
        model: BaseSegmenter,
        recipe: Recipe,
        train_set: TrainingSet,
        val_set: SampleSet,
        cache: RunCache | None = None,
    ) -> None:
        super().__init__()
        self.cache = cache
        self.model, self.recipe = model, recipe
        self.train_set, self.val_set = train_set, val_set
        self.confusion = ConfusionMatrix(len(val_set.classes))
        self.automatic_optimization = recipe.schedule.accumulate == 1
        if recipe.schedule.train_parts:
            model.freeze_except(recipe.schedule.train_parts)
        if recipe.schedule.norm_momentum is not None:
            set_norm_momentum(model, recipe.schedule.norm_momentum)
        self.layout = torch.channels_last if recipe.schedule.channels_last else torch.contiguous_format
        self.model.to(memory_format=self.layout)  # type: ignore[call-overload]

    def train(self, mode: bool = True) -> "SegmentationModule":
        """Switch to training, leaving frozen parts and frozen normalisation in evaluation."""
        super().train(mode)
        if mode and self.recipe.schedule.train_parts:
            self.model.train_only(self.recipe.schedule.train_parts)
        frozen: dict[str, nn.Module] = {"backbone": self.model.backbone, "all": self.model}
        if self.recipe.schedule.freeze_norm in frozen:
            freeze_norm(frozen[self.recipe.schedule.freeze_norm])
        return self

    def setup(self, stage: str) -> None:
        """Start in training mode; Lightning does not change modes."""
        self.train()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make dropout a function of seed, step and process."""
        torch.manual_seed((self.recipe.schedule.seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Loss of one iteration of `(B, 3, h, w)` images and `(B, h, w)` labels; micro-batches are also optimised."""
        images, labels, coarse = batch[0], batch[1], batch[2] if len(batch) == 3 else None
        if self.automatic_optimization:
            losses = self.losses(images, labels, mean_across_processes, coarse)
        else:
            losses = self.accumulate(images, labels, coarse)
        self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        return losses

    def losses(
        self, images: Tensor, labels: Tensor | CheckedLabels, across: Across, coarse: Coarse | None = None
    ) -> dict[str, Tensor]:
        """The loss to minimise, and its terms by name; `coarse` are outputs of the frozen parts, if known."""
        images = images.to(memory_format=self.layout)
        decoded = self.model.decode(images) if coarse is None else Decoded(self._field(images, coarse))
        terms = segmentation_losses(
            decoded.main, decoded.auxiliary, labels, self.recipe.loss, scene=decoded.scene, across=across
        )
        terms = {name: term for name, term in terms.items() if term.requires_grad}  # not those of frozen parts alone
        total = {"loss": torch.stack(list(terms.values())).sum()}
        return total | {f"loss_{name}": term.detach() for name, term in terms.items()}

    @property
    def _own(self) -> Segmenter:
        """The model, where outputs of its frozen parts are kept: `fit` refuses others."""
        assert isinstance(self.model, Segmenter)
        return self.model

    def _field(self, images: Tensor, coarse: Coarse) -> LogitField:
        return self._own.field_of(coarse.map(lambda values: values.to(memory_format=self.layout)), images)

    def accumulate(self, images: Tensor, labels: Tensor, coarse: Coarse | None = None) -> dict[str, Tensor]:
        """One iteration in micro-batches, whose gradients add up to that of the whole batch.

        A micro-batch is weighted by its valid pixels (or their class weights), as are the batches of several processes.
        Gradients are exchanged between processes once.
        """
        count = self.recipe.schedule.accumulate
        maps = [coarse and coarse.map(lambda values, i=i: values.chunk(count)[i]) for i in range(count)]
        parts = list(zip(images.chunk(count), map(self._checked, labels.chunk(count)), maps, strict=True))
        mean = mean_across_processes(torch.stack([checked.total for _, checked, _ in parts]).mean())
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        collected = []
        for index, (image, checked, part) in enumerate(parts, 1):
            with nullcontext() if index == count else self._without_exchange():
                losses = self.losses(image, checked, partial(_among, own=checked.total, mean=mean), part)
                self.manual_backward(losses["loss"] / count)
            collected.append({name: value.detach() for name, value in losses.items()})
        optimizer.step()
        self.lr_schedulers().step()  # type: ignore[union-attr]
        return {name: torch.stack([losses[name] for losses in collected]).mean() for name in collected[0]}

    def _checked(self, labels: Tensor) -> CheckedLabels:
        B, H, W = labels.shape
        options = self.recipe.loss.cross_entropy_options(labels.device)
        return check_targets(labels, (B, len(self.val_set.classes), H, W), labels.device, **options)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the norm of the gradient."""
        if limit := self.recipe.optimizer.clip:
            torch.nn.utils.clip_grad_norm_(self.parameters(), limit)

    def _without_exchange(self) -> AbstractContextManager[None]:
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count the predictions of one image."""
        images, labels, coarse = batch[0], batch[1], batch[2] if len(batch) == 3 else None
        predict = self.model.field if coarse is None else partial(self._field, coarse=coarse)
        field = predict_whole(predict, images.to(memory_format=self.layout))
        self.confusion.add(confusion(field, labels))

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        scores = self.confusion.compute()
        self.confusion.reset()
        self.log("val/miou", scores.miou, rank_zero_only=True)
        self.log("val/pixel_accuracy", scores.pixel_accuracy, rank_zero_only=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Optimizer by parameter groups, with a learning rate for each iteration."""
        groups = parameter_groups(self.model, self.recipe.optimizer, self.recipe.schedule.train_parts)
        optimizer = build_optimizer(groups, self.recipe.optimizer)
        scheduler = build_scheduler(optimizer, self.recipe.optimizer, self.recipe.schedule.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def train_dataloader(self) -> DataLoader:
        """Batches, starting at the current step."""
        schedule, train_set = self.recipe.schedule, self.train_set
        if self.cache is not None:
            train_set = self.cache.crops(self._own, train_set.dataset, *self._place)
        stream = SampleStream(
            len(self.train_set),
            schedule.seed,
            start=self.global_step * schedule.batch_size,
            rank=self.global_rank,
            world_size=self.trainer.world_size,
        )
        return DataLoader(
            train_set,
            schedule.batch_size // self.trainer.world_size,
            sampler=stream,
            num_workers=self.recipe.data.workers,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader:
        """Whole images, one by one, divided among the processes."""
        if self.cache is not None:
            images = self.cache.images(self._own, self.val_set, *self._place)
            return DataLoader(images, num_workers=self.recipe.data.workers)
        share = range(self.global_rank, len(self.val_set), self.trainer.world_size)
        transform = EvalTransform(self.model.mean, self.model.std)
        return DataLoader(LabelledImages(self.val_set, transform, share), num_workers=self.recipe.data.workers)

    @property
    def _place(self) -> tuple[int, int]:
        """Number of this process, and number of all."""
        return self.global_rank, self.trainer.world_size


def _among(count: Tensor, own: Tensor, mean: Tensor) -> Tensor:
    """The mean of a count over all micro-batches; `own` and `mean` are the numbers of valid pixels."""
    return (count * (mean / own)).masked_fill(own == 0, 0)
