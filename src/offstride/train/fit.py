"""Run a recipe, or resume it."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import lightning as L
import torch
import yaml
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from offstride.data import ClassSet, SampleSet, TrainingSet, TrainTransform, build_dataset
from offstride.models import Segmenter, create_model
from offstride.train.callbacks import Checkpoints, Recorder
from offstride.train.module import SegmentationModule
from offstride.train.progress import ProgressLine
from offstride.train.recipe import DataRecipe, Recipe, recipe_to_dict
from offstride.upsamplers import DUpsampling

FREE = {
    "data.root",
    "data.workers",
    "model.basis",
    "model.pretrained",
    "model.start",
    "schedule.accelerator",
    "schedule.checkpoint_every",
    "schedule.devices",
    "schedule.log_every",
    "schedule.nodes",
}
"""Settings that may change when a run is resumed: where it runs and how it reports, not what it computes."""


def fit(recipe: Recipe, directory: Path, *, resume: bool = False, title: str = "training") -> Path:
    """Train a model by a recipe.

    The directory receives `recipe.yaml`, `train.csv`, `validation.csv`, TensorBoard logs, `last.ckpt` to resume from,
    and the models `best.safetensors` (by validation mIoU) and `last.safetensors`.

    Args:
        recipe: What to do.
        directory: Where the run is kept.
        resume: Continue the run that the directory holds, if it holds one.
        title: Name in the progress display.

    Returns:
        Path of the best model.

    Raises:
        ValueError: If the data cannot be read, the model cannot be built, or the directory holds another run.
    """
    checkpoint = directory / "last.ckpt"
    _claim(directory, recipe, resume=resume)
    L.seed_everything(recipe.schedule.seed, verbose=False)
    train_set, val_set = build_split(recipe.data, "train"), build_split(recipe.data, "val")
    model = build_model(recipe, train_set.classes)
    resumed_at = (
        torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"] if checkpoint.exists() else 0
    )
    recorder = Recorder(directory, resumed_at=resumed_at, flush_every=recipe.schedule.log_every)
    schedule = recipe.schedule
    callbacks = [
        recorder,
        ProgressLine(schedule.steps, every=schedule.log_every, title=title),
        Checkpoints(
            directory, every=schedule.checkpoint_every, validate_every=schedule.validate_every, recorder=recorder
        ),
    ]
    transform = TrainTransform(
        crop=recipe.data.crop,
        scale=recipe.data.scale,
        flip=recipe.data.flip,
        jitter=recipe.data.jitter,
        mean=model.mean,
        std=model.std,
    )
    module = SegmentationModule(model, recipe, TrainingSet(train_set, transform, schedule.seed), val_set)
    with quiet():
        trainer = build_trainer(recipe, directory, callbacks, resumed_at)
        trainer.fit(module, ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=False)
    return directory / "best.safetensors"


def is_first_process() -> bool:
    """Whether this process speaks for all of a distributed run."""
    return getattr(rank_zero_only, "rank", 0) == 0


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's remarks off the terminal, and its warnings about choices that are meant (few workers, no
    logger).
    """
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)  # of torch, to Lightning
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def build_split(recipe: DataRecipe, role: Literal["train", "val"]) -> SampleSet:
    """The data set that a recipe trains on, or the one that chooses its best checkpoint."""
    split = recipe.train if role == "train" else recipe.val
    if recipe.name != "streets":
        return build_dataset(recipe.name, split, root=recipe.root)
    return build_dataset(
        recipe.name, split, count=recipe.count if role == "train" else recipe.val_count, size=recipe.size
    )


def build_model(recipe: Recipe, classes: ClassSet) -> Segmenter:
    """The model of a recipe before training, with the weights that the recipe starts from.

    Raises:
        ValueError: If it cannot be built, has no use for the basis, or the weights do not fit.
    """
    settings = recipe.model
    pretrained = False if settings.start else settings.pretrained
    model = create_model(settings.preset, classes=classes, pretrained=pretrained, **settings.settings())
    if settings.basis is not None:
        if not isinstance(model.upsampler, DUpsampling):
            raise ValueError(f"basis: expected none for the upsampler {model.config.upsampler!r}, got {settings.basis}")
        model.upsampler.load_basis(settings.basis)
    if settings.start is not None:
        model.start_from(settings.start)
    return model


def build_trainer(recipe: Recipe, directory: Path, callbacks: list[Callback], resumed_at: int = 0) -> L.Trainer:
    """Lightning's engine: one endless epoch of `steps` iterations."""
    schedule = recipe.schedule
    return L.Trainer(
        accelerator=schedule.accelerator,
        devices=schedule.devices,
        num_nodes=schedule.nodes,
        strategy=_strategy(recipe),
        precision=schedule.precision,  # type: ignore[arg-type]
        max_steps=schedule.steps,
        max_epochs=-1,
        val_check_interval=schedule.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=recipe.optimizer.clip or None,
        sync_batchnorm=schedule.sync_norm,
        deterministic=schedule.deterministic,
        use_distributed_sampler=False,
        logger=TensorBoardLogger(directory, name="", version="tensorboard", purge_step=resumed_at or None),
        log_every_n_steps=schedule.log_every,
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _strategy(recipe: Recipe) -> str:
    """How Lightning runs the processes; without the main loss some parameters (W, T) have no gradient."""
    if recipe.schedule.devices * recipe.schedule.nodes == 1:
        return "auto"
    return "ddp" if recipe.loss.main else "ddp_find_unused_parameters_true"


@rank_zero_only
def _claim(directory: Path, recipe: Recipe, *, resume: bool) -> None:
    """Make the directory of a run, or see that it holds this very run."""
    described, file = recipe_to_dict(recipe), directory / "recipe.yaml"
    if file.exists() and not resume:
        raise ValueError(f"output: {directory} holds a run already; resume it, or choose another directory")
    if file.exists():
        before = yaml.safe_load(file.read_text())
        changed = [name for name in _differences(before, described) if name not in FREE]
        if changed:
            raise ValueError(f"resume: {directory} holds a run by another recipe; different: {', '.join(changed)}")
    directory.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(described, sort_keys=False))


def _differences(before: dict, now: dict, prefix: str = "") -> list[str]:
    """Names of the settings in which two recipes differ."""
    names = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            names += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            names.append(f"{prefix}{key}")
    return names
