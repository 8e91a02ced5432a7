"""Callbacks that record losses and scores, and write checkpoints."""

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, Checkpoint

from offstride.train.history import History


class Recorder(Callback):
    """Writes `train.csv` (each step) and `validation.csv` (each validation).

    Args:
        directory: Of the run.
        resumed_at: Step at which the run is resumed; later rows are dropped.
        flush_every: Steps between writes.
    """

    def __init__(self, directory: Path, *, resumed_at: int, flush_every: int) -> None:
        self.directory, self.resumed_at, self.flush_every = directory, resumed_at, flush_every
        self.pending: list[dict] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Open the files in the process that writes them."""
        if trainer.is_global_zero:
            self.training = History(self.directory / "train.csv", keep=self.resumed_at)
            self.started = time.monotonic() - self.training.last.get("seconds", 0.0)
            self.validation = History(self.directory / "validation.csv", keep=self.resumed_at)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the losses of a step; they stay on the device until they are written."""
        if not trainer.is_global_zero:
            return
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        losses = {name: value.detach() for name, value in outputs.items()}
        elapsed = time.monotonic() - self.started
        self.pending.append({"step": trainer.global_step, **losses, "learning_rate": rate, "seconds": elapsed})
        if trainer.global_step % self.flush_every == 0:
            self.flush()

    def flush(self) -> None:
        """Write pending rows, which only the first process has."""
        for row in self.pending:
            self.training.append(**{name: float(value) for name, value in row.items()} | {"step": row["step"]})
        if self.pending:
            self.pending.clear()
            self.training.flush()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the scores of a validation."""
        if trainer.is_global_zero:
            self.validation.append(step=trainer.global_step, **validation_scores(trainer))
            self.validation.flush()


def validation_scores(trainer: L.Trainer) -> dict[str, float]:
    """Scores of the last validation by name."""
    metrics = trainer.callback_metrics.items()
    return {name.removeprefix("val/"): float(value) for name, value in metrics if name.startswith("val/")}


class Checkpoints(Checkpoint):
    """Writes `last.ckpt` to resume from, and the models `best.safetensors` (by mIoU) and `last.safetensors`.

    Args:
        directory: Of the run.
        every: Steps between writes of `last.ckpt`, which is also written after each validation.
        validate_every: Steps between validations.
        recorder: Flushed first, so that its files are as new as the checkpoint.
    """

    def __init__(self, directory: Path, *, every: int, validate_every: int, recorder: Recorder) -> None:
        self.directory, self.every, self.validate_every, self.recorder = directory, every, validate_every, recorder
        self.best = -1.0

    def state_dict(self) -> dict[str, float]:
        """The best mIoU so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Restore the best mIoU."""
        self.best = state_dict["best"]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write what is needed to resume, unless a validation comes first: a resumed run would not repeat it."""
        if trainer.global_step % self.every == 0 and trainer.global_step % self.validate_every:
            self.write(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the model if it is the best so far."""
        miou = validation_scores(trainer)["miou"]
        if miou > self.best:
            self.best = miou
            if trainer.is_global_zero:
                pl_module.model.save(self.directory / "best.safetensors")  # type: ignore[union-attr]
        self.write(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the final model."""
        self.write(trainer)
        if trainer.is_global_zero:
            pl_module.model.save(self.directory / "last.safetensors")  # type: ignore[union-attr]
        trainer.strategy.barrier()  # all processes of a next stage read it

    def write(self, trainer: L.Trainer) -> None:
        """Write `last.ckpt`; all processes take part."""
        self.recorder.flush()
        trainer.save_checkpoint(self.directory / "last.ckpt")
