"""What the report of the demo says and shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from offstride.data import EvalTransform, Sample, SampleSet
from offstride.evaluate import Evaluation
from offstride.field import BilinearField, LogitField, argmax
from offstride.losses import located
from offstride.models import Segmenter
from offstride.train import Recipe
from offstride.visualize import (
    Curve,
    Example,
    Report,
    Row,
    busiest_box,
    colorize,
    compare_errors,
    magnify,
    mark,
    offset_colors,
    offset_limit,
)

EXAMPLES = 4


@dataclass(frozen=True, eq=False)
class Contestant:
    """A trained model and what is known of it.

    Attributes:
        name: Shown in the report.
        model: In evaluation mode.
        evaluation: On the test scenes.
        history: Rows of its `train` and `validation` records.
    """

    name: str
    model: Segmenter
    evaluation: Evaluation
    history: dict[str, list[dict[str, float]]]


INTRO = """
Two networks that differ only in their last step learn to label procedural street scenes. Both start from the same
weights and see the same images in the same order. One upsamples its coarse class scores bilinearly. The other learns
where in the coarse scores every pixel should read: location-aware upsampling (LaU), trained with the offset-regression
loss.

A single run of a few minutes shows how it works, not which method is better: that takes several seeds and real data.
"""

NOTES = (
    "mIoU: intersection over union, averaged over the classes. Boundary IoU: the same, counted only within 2 % of the "
    "image diagonal of a class border (Cheng et al., CVPR 2021). Thin classes: poles and signs.",
    "Before LaU: the coarse scores of the LaU model, upsampled bilinearly, as if all offsets were zero. After LaU: "
    "what the model predicts. Offsets point from a pixel to where it reads; the wheel explains their colours.",
    "LaU: He et al., Location-aware Upsampling for Semantic Segmentation, arXiv 1911.05250.",
)


def demo_report(contestants: Sequence[Contestant], recipe: Recipe, dataset: SampleSet) -> Report:
    """The page for a bilinear and a location-aware model, in this order, and the scenes that they were tested on."""
    scores, schedule = [each.evaluation for each in contestants], recipe.schedule
    height, width = recipe.data.size
    offsets = [_offsets(contestants[1].model, dataset[index])[0] for index in range(EXAMPLES)]
    limit = offset_limit(np.concatenate(offsets, -1))
    return Report(
        title="Bilinear against location-aware upsampling",
        models=[each.name for each in contestants],
        intro=INTRO.strip(),
        facts={
            "data": f"procedural street scenes, {height} × {width} pixels, {len(dataset)} for the test",
            "network": f"{recipe.model.backbone} from random weights, output stride {recipe.model.output_stride}",
            "training": f"{schedule.steps} steps of {schedule.batch_size} images, seed {schedule.seed}",
        },
        metrics=[
            Row("mIoU", [each.scores.miou for each in scores]),
            Row("boundary IoU", [each.boundary.mean for each in scores]),
            Row("thin-class IoU", [each.thin_iou for each in scores]),
            Row("pixel accuracy", [each.scores.pixel_accuracy for each in scores]),
            Row("parameters", [_parameters(each.model) for each in contestants], ",.0f", better="none"),
            Row("training", [each.history["train"][-1]["seconds"] for each in contestants], ".0f", "s", better="none"),
            Row("prediction", [1000 * each.seconds / each.images for each in scores], ".1f", "ms/image", better="none"),
        ],
        per_class={each.name: each.evaluation.scores.iou.tolist() for each in contestants},
        classes=scores[0].classes,
        curves=[
            Curve("cross-entropy and location loss", _lines(contestants, "train", "loss")),
            Curve("mIoU on validation scenes", _lines(contestants, "validation", "miou"), ".1%"),
        ],
        examples=[_example(contestants, dataset[index], limit) for index in range(EXAMPLES)],
        offset_limit=limit,
        notes=NOTES,
    )


def _parameters(model: Segmenter) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _lines(contestants: Sequence[Contestant], part: str, column: str) -> dict[str, list[tuple[float, float]]]:
    return {each.name: [(row["step"], row[column]) for row in each.history[part]] for each in contestants}


@torch.inference_mode()
def _field(model: Segmenter, sample: Sample) -> LogitField:
    image, _ = EvalTransform(model.mean, model.std)(sample)
    return model.field(image[None])


def _labels(field: LogitField) -> np.ndarray:
    return argmax(field)[0].numpy()


def _offsets(model: Segmenter, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """`(2, H, W)` offsets of a location-aware model, and the `(H, W)` labels that it would predict without them."""
    field = _field(model, sample)
    scores, offsets, origin = located(field)
    before = BilinearField(scores, (field.shape[2], field.shape[3]), origin)
    return offsets[0].numpy(), _labels(before)


def _example(contestants: Sequence[Contestant], sample: Sample, limit: float) -> Example:
    """A scene, both predictions and their errors, the offsets, and the place where offsets change most, magnified."""
    palette = contestants[0].evaluation.classes.palette
    image, truth = sample.image.permute(1, 2, 0).contiguous().numpy(), sample.label.numpy()
    bilinear, lau = (_labels(_field(each.model, sample)) for each in contestants)
    offsets, before = _offsets(contestants[1].model, sample)
    box = busiest_box(before != lau, (48, 64))
    pictures = {
        "image": image,
        "truth": colorize(truth, palette),
        "Bilinear": colorize(bilinear, palette),
        "LaU": colorize(lau, palette),
        "LaU: offsets": offset_colors(offsets, limit),
        "LaU: before": colorize(before, palette),
    }
    details = {title: magnify(picture, box) for title, picture in pictures.items()}
    verdict = compare_errors(image, bilinear, lau, truth)
    first = {"image": mark(image, box)} | {name: pictures[name] for name in ("truth", "Bilinear", "LaU")}
    second = {"offsets": pictures["LaU: offsets"], "Bilinear → LaU: errors": verdict}
    return Example(f"Scene {sample.name}", [first, second, details])
