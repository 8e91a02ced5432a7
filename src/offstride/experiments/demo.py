"""The demo: a small network learns to label drawn streets, and is sharpened without one step of training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from offstride.data import STREETS, Streets
from offstride.experiments.sharpening.frozen import Frozen
from offstride.experiments.sharpening.methods import Method
from offstride.experiments.sharpening.sharpening import Labelled, Sharpening
from offstride.experiments.store import LAST, Progress, no_progress
from offstride.losses import LossConfig
from offstride.models import Segmenter
from offstride.train import DataRecipe, ModelRecipe, OptimizerRecipe, Recipe, ScheduleRecipe, fit

RARE = ("person", "pole", "sign")
"""Classes of so few pixels that a short run would never predict them; the loss gives them four times the weight."""

BASELINE = Recipe(
    data=DataRecipe(name="streets", count=400, val_count=24, scale=(0.75, 1.5)),
    model=ModelRecipe(backbone="test_resnet", output_stride=8, head_options={"channels": 64}),
    loss=LossConfig(class_weights=[4.0 if name in RARE else 1.0 for name in STREETS.names]),
    optimizer=OptimizerRecipe(name="adamw", learning_rate=2e-3, head_multiplier=1, weight_decay=1e-2, warmup=20),
    schedule=ScheduleRecipe(steps=300, validate_every=100, checkpoint_every=100),
)
"""Settings of both networks."""

TRAINED_ALONG = "residual"
"""The upsampler that gained most in docs/upsamplers.md when it was trained together with its network."""

REMARKS = (
    "The universal weights were fitted on drawn scenes, some of them streets of this kind but none of these. "
    "docs/sharpen.md shows what they gain on photographs and for models that others trained.",
    f"{TRAINED_ALONG}: another network, trained from the same weights on the same crops with that upsampler. Single "
    "runs of a few minutes show how it works; which method is better takes several seeds and real data.",
)


def run_demo(output: Path, *, steps: int, seed: int = 0, progress: Progress = no_progress) -> dict[str, Any]:
    """Train a network with bilinear and one with another upsampler, sharpen the first one, and report.

    Args:
        output: Folder for both runs, the sharpened model and the report; an interrupted demo in it is continued.
        steps: Iterations of each run.
        seed: Random seed of weights, data order and augmentation.
        progress: Progress bars.

    Returns:
        The content of `report.json`, see `Sharpening.run`.

    Raises:
        ValueError: If the folder holds runs with other settings.
    """
    baseline = replace(BASELINE, schedule=replace(BASELINE.schedule, steps=steps, seed=seed))
    along = replace(baseline, model=replace(baseline.model, upsampler=TRAINED_ALONG))
    network = _trained("bilinear", baseline, output)
    other = Frozen(_trained(TRAINED_ALONG, along, output))
    test = Streets(60, baseline.data.size, split="test")
    row = Method(TRAINED_ALONG, other.own, "trained along with a network of its own", network=other)
    content = Sharpening(
        network,
        "a small network",
        output,
        name="drawn streets,",
        scored=Labelled(test, "test"),
        beside=[row],
        remarks=REMARKS,
        progress=progress,
    ).run()
    assert content is not None
    return content


def _trained(name: str, recipe: Recipe, output: Path) -> Segmenter:
    fit(recipe, output / name, resume=True, title=name)
    return Segmenter.load(output / name / LAST)
