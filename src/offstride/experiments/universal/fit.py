"""Fit the weights of universal upsampling on pictures with segments of any kind."""

import copy
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save as serialise
from torch import Tensor

from offstride import __version__
from offstride.data import FolderDataset, SampleSet, Segments, Streets
from offstride.experiments.universal.crops import CROP, STRIDES, Batch, Picture, draw_batch
from offstride.experiments.universal.simulate import Chance
from offstride.field import LocatedField, LogitField, argmax, cross_entropy
from offstride.files import write_bytes
from offstride.metrics import BoundaryIoU, ConfusionMatrix
from offstride.ops.grid import Origin
from offstride.upsamplers import UniversalLaU
from offstride.upsamplers.universal import WIDTHS, OffsetNetwork

SIZES = ((256, 336), (384, 512))
"""Sizes of drawn scenes: streets are drawn at both, so that things have more sizes."""

ORIGINS: tuple[Origin, ...] = ("center", "aligned")


@dataclass(frozen=True)
class UniversalRecipe:
    """How universal weights are fitted.

    Args:
        segments: Number of drawn pictures of segments.
        streets: Number of drawn streets, a quarter of them at the larger size.
        steps: Number of steps.
        batch: Crops of a step.
        rate: Learning rate of AdamW, after 50 steps of warm-up.
        average: Weight of the past in the running mean of the weights, which is what is kept.
        seed: Of the scenes, the initial weights and the crops.
        widths: Channels of the network.
        blocks: See `UniversalLaU`.

    Raises:
        ValueError: If a number is not positive.
    """

    segments: int = 2500
    streets: int = 600
    steps: int = 5000
    batch: int = 8
    rate: float = 2e-3
    average: float = 0.998
    seed: int = 0
    widths: tuple[int, int, int] = WIDTHS
    blocks: int = 2

    def __post_init__(self) -> None:
        for name in ("segments", "streets", "steps", "batch", "rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if not 0 <= self.average < 1:
            raise ValueError(f"average: expected a number from 0 to below 1, got {self.average}")
        if self.seed < 0:
            raise ValueError(f"seed: expected 0 or more, got {self.seed}")


class Progress(NamedTuple):
    """Callbacks of a long fit: `(done, total)` of drawn scenes, `(done, total, loss)` of steps, an entry of the log."""

    drawing: Callable[[int, int], None] = lambda done, total: None
    step: Callable[[int, int, float], None] = lambda done, total, loss: None
    log: Callable[[dict[str, Any]], None] = lambda entry: None


def fit_universal(
    recipe: UniversalRecipe, output: Path, folders: Sequence[Path] = (), progress: Progress | None = None
) -> dict[str, Any]:
    """Fit weights and write them to a file.

    Args:
        recipe: How they are fitted.
        output: File to write (.safetensors), with the recipe and its log in the metadata.
        folders: Folders of labelled images, see `FolderDataset`, whose pictures are taken as often as drawn segments
            and as drawn streets; all of their splits that are called train, or their only one.
        progress: Progress callbacks.

    Returns:
        What the metadata say.

    Raises:
        ValueError: If a folder has no labelled images of at least 192×192 pixels, or the file cannot be written.
    """
    start, progress = time.perf_counter(), progress or Progress()
    sources = [*drawn_pictures(recipe, "train", progress.drawing), *(read_pictures(folder) for folder in folders)]
    held_out = drawn_pictures(UniversalRecipe(segments=40, streets=40, seed=recipe.seed), "val", progress.drawing)
    torch.manual_seed(recipe.seed)
    learning = _upsamplers(OffsetNetwork(recipe.widths, recipe.blocks), recipe)
    network = learning["center"].network
    averaged = _upsamplers(copy.deepcopy(network).requires_grad_(False), recipe)
    log: list[dict[str, Any]] = []
    chance = Chance(random.Random(recipe.seed), torch.Generator().manual_seed(recipe.seed))
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=1e-4)
    running = 0.0
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * min(1, (step + 1) / 50)
        batch = draw_batch(sources, recipe.batch, chance)
        loss = cross_entropy(_field(learning, batch), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        kept = min(recipe.average, (step + 1) / (step + 10))  # the first weights are soon forgotten
        for mean, weight in zip(averaged["center"].network.parameters(), network.parameters(), strict=True):
            mean.lerp_(weight.detach(), 1 - kept)
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        progress.step(step + 1, recipe.steps, running)
        if (step + 1) % max(1, recipe.steps // 6) == 0:
            log.append({"step": step + 1, "loss": round(running, 4), **validate(averaged, held_out)})
            progress.log(log[-1])
    described = {
        "written_by": f"offstride {__version__}",
        "data": ["drawn segments", "drawn streets", *(folder.name for folder in folders)],
        "recipe": asdict(recipe),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "seconds": round(time.perf_counter() - start),
        "threads": torch.get_num_threads(),
        "log": log,
    }
    state = averaged["center"].network.state_dict()
    state = {name: tensor.half().contiguous() for name, tensor in state.items()}
    try:
        write_bytes(output, serialise(state, metadata={"format": "pt", "offstride": json.dumps(described)}))
    except OSError as error:
        raise ValueError(f"output: {output} cannot be written ({error})") from error
    return described


def _upsamplers(network: OffsetNetwork, recipe: UniversalRecipe) -> dict[Origin, UniversalLaU]:
    """An upsampler of each origin, with one network."""
    found: dict[Origin, UniversalLaU] = {
        origin: UniversalLaU(recipe.widths, recipe.blocks, mirrored=False, origin=origin, init="zero")
        for origin in ORIGINS
    }
    for upsampler in found.values():
        upsampler.network = network
    return found


def drawn_pictures(recipe: UniversalRecipe, split: str, progress: Callable[[int, int], None]) -> list[list[Picture]]:
    """Drawn segments, and drawn streets of both sizes."""
    large = recipe.streets // 4
    sets = [
        [Segments(recipe.segments, SIZES[0], recipe.seed, split)],
        [Streets(recipe.streets - large, SIZES[0], recipe.seed, split)],
    ]
    if large:
        sets[1].append(Streets(large, SIZES[1], recipe.seed + 1, split))
    total, done = recipe.segments + recipe.streets, 0
    pictures: list[list[Picture]] = []
    for parts in sets:
        pictures.append([])
        for dataset in parts:
            for index in range(len(dataset)):
                sample = dataset[index]
                pictures[-1].append(Picture(sample.image, sample.label))
                done += 1
                progress(done, total)
    return pictures


def read_pictures(folder: Path) -> list[Picture]:
    """All labelled images of a folder whose classes serve as segments.

    Raises:
        ValueError: If the folder holds none that is large enough.
    """
    dataset: SampleSet = FolderDataset(folder, "train" if (folder / "images" / "train").is_dir() else None)
    samples = (dataset[index] for index in range(len(dataset)))
    pictures = [Picture(sample.image, sample.label) for sample in samples if min(sample.label.shape) >= CROP]
    if not pictures:
        raise ValueError(f"data: expected labelled images of at least {CROP}×{CROP} pixels, got none in {folder}")
    return pictures


@torch.no_grad()
def validate(upsamplers: dict[Origin, UniversalLaU], sources: Sequence[Sequence[Picture]]) -> dict[str, Any]:
    """Mean gain over bilinear upsampling in mIoU and boundary IoU, in points, by stride: simulated scores of scenes
    that were not trained on, always the same ones.
    """
    gains: dict[str, Any] = {}
    for stride in sorted(set(STRIDES)):
        chance = Chance(random.Random(stride), torch.Generator().manual_seed(stride))
        batches = [draw_batch(sources, 8, chance, stride) for _ in range(4)]
        before = [_scores(_bilinear(batch), batch) for batch in batches]
        after = [_scores(_field(upsamplers, batch), batch) for batch in batches]
        means = (torch.tensor(after) - torch.tensor(before)).mean(0) * 100
        gains[f"stride {stride}"] = {"miou": round(float(means[0]), 2), "boundary_iou": round(float(means[1]), 2)}
    return gains


def _field(upsamplers: dict[Origin, UniversalLaU], batch: Batch) -> LogitField:
    offsets = upsamplers[batch.origin].offsets(batch.scores, batch.images)
    return LocatedField(batch.scores, offsets, batch.origin)


def _bilinear(batch: Batch) -> LogitField:
    B, (H, W) = len(batch.labels), batch.labels.shape[1:]
    return LocatedField(batch.scores, torch.zeros(B, 2, H, W), batch.origin)


def _scores(field: LogitField, batch: Batch) -> tuple[float, float]:
    prediction: Tensor = argmax(field)
    confusion, boundary = ConfusionMatrix(field.shape[1]), BoundaryIoU(field.shape[1])
    for metric in (confusion, boundary):
        metric.update(prediction, batch.labels)
    return confusion.compute().miou, boundary.compute().mean
