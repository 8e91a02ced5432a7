"""Train by a recipe, or resume the training."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from offstride.data import ClassSet, Repeated, SampleSet, TrainingSet, build_dataset
from offstride.models import BaseSegmenter, Segmenter, create_model
from offstride.models.checkpoint import check_classes
from offstride.opening import open_model
from offstride.replace.foreign import ForeignSegmenter
from offstride.train.callbacks import Checkpoints, Recorder
from offstride.train.claim import claim
from offstride.train.module import SegmentationModule
from offstride.train.processes import cluster, lost_processes_named
from offstride.train.progress import ProgressLine
from offstride.train.recipe import DataRecipe, ModelRecipe, Recipe
from offstride.train.run_cache import RunCache

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others."""


def fit(recipe: Recipe, directory: Path, *, resume: bool = False, title: str = "training") -> Path:
    """Train a model by a recipe.

    The directory receives `recipe.yaml`, `train.csv`, `validation.csv`, TensorBoard logs, `last.ckpt` to resume from,
    and the models `best.safetensors` (by validation mIoU) and `last.safetensors`; with `data.cache` also the folder
    `cache`, unless the recipe names another one.

    Args:
        recipe: What to do.
        directory: Directory of the run.
        resume: Continue the run that the directory holds, if it holds one.
        title: Name in the progress display.

    Returns:
        Path of the best model.

    Raises:
        ValueError: If the data cannot be read, the model cannot be built, or the directory holds another run.
    """
    cluster(recipe.schedule)  # before anything is written
    checkpoint = directory / "last.ckpt"
    claim(directory, recipe, resume=resume)
    L.seed_everything(recipe.schedule.seed, verbose=False)
    train_set, val_set = build_split(recipe.data, "train"), build_split(recipe.data, "val")
    recipe = replace(recipe, schedule=recipe.schedule.for_images(len(train_set)))
    model = build_model(recipe, train_set.classes)
    L.seed_everything(recipe.schedule.seed, verbose=False)  # dropout does not depend on what the model drew before
    resumed_at = 0
    if checkpoint.exists():
        resumed_at = torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"]
    recorder = Recorder(directory, resumed_at=resumed_at, flush_every=recipe.schedule.log_every)
    schedule = recipe.schedule
    callbacks = [
        recorder,
        ProgressLine(schedule.steps, every=schedule.log_every, title=title),
        Checkpoints(
            directory, every=schedule.checkpoint_every, validate_every=schedule.validate_every, recorder=recorder
        ),
    ]
    stream = TrainingSet(train_set, recipe.data.transform(model.mean, model.std), schedule.seed)
    if recipe.data.cache and not isinstance(model, Segmenter):
        raise ValueError("data.cache: expected one of Offstride's own models, got one of another library")
    cache = RunCache(recipe, recipe.data.cache_dir or directory / "cache") if recipe.data.cache else None
    module = SegmentationModule(model, recipe, stream, val_set, cache)
    with quiet(), lost_processes_named(schedule.devices * schedule.nodes):
        trainer = build_trainer(recipe, directory, callbacks, resumed_at)
        trainer.fit(module, ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=False)
    return directory / "best.safetensors"


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's remarks, and its warnings about intended choices (few workers, no logger)."""
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
    """The training split of a recipe, hard images repeated, or the split that selects its best checkpoint."""
    split = recipe.train if role == "train" else recipe.val
    options: dict[str, Any] = {"root": recipe.root}
    if recipe.name == "streets":
        options = {"count": recipe.count if role == "train" else recipe.val_count, "size": recipe.size}
    dataset = build_dataset(recipe.name, split, **options)
    return Repeated(dataset, recipe.repeat, recipe.repeats) if role == "train" and recipe.repeat else dataset


def build_model(recipe: Recipe, classes: ClassSet) -> BaseSegmenter:
    """The model of a recipe before training, with the weights that the recipe starts from.

    Raises:
        ValueError: If it cannot be built, its upsampler uses no basis, or the weights do not fit.
    """
    settings = recipe.model
    if settings.reference is not None:
        return foreign_model(settings, classes).train()
    if settings.start_parts and settings.start is None:
        raise ValueError(f"start_parts: expected start beside it, got {', '.join(settings.start_parts)} alone")
    pretrained = not settings.takes_over("backbone") and settings.pretrained
    model = create_model(classes=classes, pretrained=pretrained, **settings.settings())
    if settings.basis is not None:
        model.upsampler.load_basis(settings.basis)
    if settings.start is not None:
        model.start_from(settings.start, settings.start_parts)
    return model


def foreign_model(settings: ModelRecipe, classes: ClassSet | None = None) -> ForeignSegmenter:
    """The model of another library that a recipe names, with the upsampler of the recipe, in evaluation mode.

    Args:
        settings: With a `reference`.
        classes: Those of the data set; the model must have the same, by name if it has names.

    Raises:
        ValueError: If there is no such model, it is one of ours, or it has other classes.
    """
    reference, given = str(settings.reference), settings.reference_options
    model = open_model(reference, **{**given, "classes": named_classes(given.get("classes"))})
    if not isinstance(model, ForeignSegmenter):
        raise ValueError(f"reference: expected a model of another library, got {reference}")
    try:
        check_classes(model.classes, model.config.classes, classes)
    except ValueError as error:
        raise ValueError(f"{reference}: {error}; names can be given (--classes)") from error
    model.classes = model.classes or classes
    if (settings.upsampler, settings.upsampler_options) == (model.config.upsampler, model.config.upsampler_options):
        return model
    return model.with_upsampler(settings.upsampler, settings.upsampler_options)


def named_classes(layout: Any) -> ClassSet | None:
    """Classes from what a recipe holds: names, or the layout of a class file."""
    if layout is None or isinstance(layout, ClassSet):
        return layout
    return ClassSet.from_dict(layout if isinstance(layout, Mapping) else {"classes": layout})


def build_trainer(recipe: Recipe, directory: Path, callbacks: list[Callback], resumed_at: int = 0) -> L.Trainer:
    """Lightning's trainer: one endless epoch of `steps` iterations.

    Raises:
        ValueError: If the processes or their devices do not fit the recipe.
    """
    schedule = recipe.schedule
    environment = cluster(schedule)
    strategy = "auto"
    if schedule.devices * schedule.nodes > 1:  # without the main loss some parameters (W, T) have no gradient
        strategy = DDPStrategy(find_unused_parameters=not recipe.loss.main, timeout=PATIENCE)
    trainer = L.Trainer(
        accelerator=schedule.accelerator,
        devices=schedule.devices,
        num_nodes=schedule.nodes,
        strategy=strategy,
        precision=schedule.precision,  # type: ignore[arg-type]
        max_steps=schedule.steps,
        max_epochs=-1,
        val_check_interval=schedule.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        sync_batchnorm=schedule.sync_norm,
        plugins=None if environment is None else [environment],
        deterministic=schedule.deterministic,
        use_distributed_sampler=False,
        logger=TensorBoardLogger(directory, name="", version="tensorboard", purge_step=resumed_at or None),
        log_every_n_steps=schedule.log_every,
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    if schedule.sync_norm and trainer.world_size > 1 and isinstance(trainer.accelerator, CPUAccelerator):
        raise ValueError("sync_norm: expected false on CPUs, where torch cannot synchronise batch normalisation")
    return trainer
