"""The progress of a run, on the terminal or in a log."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from offstride.train.callbacks import validation_scores


class ProgressLine(Callback):
    """A progress bar in a terminal, otherwise a line every `10 * every` steps: loss, mIoU, time left.

    Args:
        steps: Length of the run.
        every: Steps between updates.
        title: Name of the run.
    """

    def __init__(self, steps: int, *, every: int, title: str = "training") -> None:
        self.steps, self.every, self.title = steps, every, title
        self.console = Console(stderr=True)
        self.scores = ""
        self.miou = ""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[scores]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
        )
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar at the step of the checkpoint."""
        self.begun, self.first = time.monotonic(), trainer.global_step
        self.progress.disable |= not trainer.is_global_zero
        self.progress.start()
        self.task = self.progress.add_task(self.title, total=self.steps, completed=self.first, scores=self.scores)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the step and its loss."""
        step = trainer.global_step
        if step % self.every and step != self.steps:
            return
        self.scores = f"loss {float(outputs['loss']):.3f}{self.miou}"
        self.progress.update(self.task, completed=step, scores=self.scores)
        silent = self.console.is_terminal or not trainer.is_global_zero
        if silent or (step % (10 * self.every) and step != self.steps):
            return
        pace = (time.monotonic() - self.begun) / (step - self.first)
        minutes, seconds = divmod(int(pace * (self.steps - step)), 60)
        line = f"step {step}/{self.steps}  {self.scores}  {pace:.2f} s/step  {minutes}:{seconds:02d} left"
        self.console.print(f"{self.title}: {line}", highlight=False, soft_wrap=True)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the new mIoU."""
        self.miou = f"  mIoU {validation_scores(trainer)['miou']:.3f}"

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the bar where it ended."""
        self.progress.stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Release the terminal."""
        self.progress.stop()
