"""Text and pictures of the demo's report."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offstride.data import Sample, SampleSet
from offstride.evaluate import Evaluation
from offstride.evaluate.decoding import decode_image
from offstride.models import Segmenter
from offstride.train import Recipe
from offstride.visualize import (
    Curve,
    Example,
    MetricRow,
    Report,
    busiest_box,
    colorize,
    compare_errors,
    magnify,
    mark,
    offset_arrows,
    offset_colors,
    offset_limit,
)
from offstride.visualize.decoding import Decoding, Offsets
from offstride.visualize.masks import BROKEN, FIXED, MISSED

EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class DemoModel:
    """A trained model, its scores and its learning curves.

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


DETAIL = (48, 64)
"""Height and width of the part of a scene that is magnified."""


def demo_report(contestants: Sequence[DemoModel], recipe: Recipe, dataset: SampleSet) -> Report:
    """The page for a bilinear and a location-aware model, in this order, tested on the scenes of a data set."""
    tests, schedule = [contestant.evaluation for contestant in contestants], recipe.schedule
    height, width = recipe.data.size
    views = [SceneView.of(contestants, dataset[index]) for index in range(EXAMPLES)]
    limit = offset_limit(np.concatenate([view.offsets.field for view in views], -1))
    classes = tests[0].classes
    return Report(
        title="Where a pixel reads its class",
        models=[it.name for it in contestants],
        intro=INTRO.strip(),
        facts={
            "Scenes": f"{recipe.data.count} to train, {len(dataset)} to test",
            "Size": f"{height} × {width}",
            "Training": f"{schedule.steps} steps of {schedule.batch_size}",
            "Network": f"{recipe.model.backbone}, from random weights",
            "Output stride": str(recipe.model.output_stride),
            "Seed": str(schedule.seed),
        },
        metrics=[
            MetricRow("Mean IoU", [test.scores.miou for test in tests]),
            MetricRow("Boundary IoU", [test.boundary.mean for test in tests], note="In a band of 2 % of the diagonal"),
            MetricRow(
                "Thin classes", [test.thin_iou for test in tests], note=f"Mean IoU of {' and '.join(classes.thin)}"
            ),
            MetricRow("Pixel accuracy", [test.scores.pixel_accuracy for test in tests]),
            MetricRow("Parameters", [_millions(it.model) for it in contestants], ".2f", "million", "none"),
            MetricRow("Training time", [it.history["train"][-1]["seconds"] for it in contestants], ".0f", "s", "none"),
            MetricRow(
                "Prediction", [1000 * test.seconds / test.images for test in tests], ".1f", "ms an image", "none"
            ),
        ],
        per_class={it.name: it.evaluation.scores.iou.tolist() for it in contestants},
        classes=classes,
        key={"Only bilinear is wrong": FIXED, "Only LaU is wrong": BROKEN, "Both are wrong": MISSED},
        curves=[
            Curve("Cross-entropy (LaU: with location loss)", _lines(contestants, "train", "loss")),
            Curve("Mean IoU on validation scenes", _lines(contestants, "validation", "miou"), ".1%"),
        ],
        viewer=views[0].layers(),
        examples=[view.example(limit) for view in views],
        offset_limit=limit,
        notes=NOTES,
    )


def _millions(model: Segmenter) -> float:
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def _lines(contestants: Sequence[DemoModel], part: str, column: str) -> dict[str, list[tuple[float, float]]]:
    return {it.name: [(row["step"], row[column]) for row in it.history[part]] for it in contestants}


@dataclass(frozen=True, eq=False)
class SceneView:
    """A scene and what both models make of it.

    Attributes:
        name: Of the scene.
        labels: Title -> `(H, W)` classes: the truth, and the predictions of both models.
        lau: What the LaU model makes of it.
        offsets: Those of the LaU model.
    """

    name: str
    labels: dict[str, np.ndarray]
    lau: Decoding
    offsets: Offsets

    @classmethod
    def of(cls, contestants: Sequence[DemoModel], sample: Sample) -> "SceneView":
        """Run both models on a scene."""
        pixels, label = sample.image.permute(1, 2, 0).contiguous().numpy(), sample.label.numpy()
        bilinear, lau = (decode_image(it.model, pixels, label) for it in contestants)
        if lau.offsets is None:
            raise ValueError("contestants: expected a second one that ends in location-aware upsampling")
        labels = {"Truth": label, "Bilinear": bilinear.prediction, "LaU": lau.prediction}
        return cls(sample.name, labels, lau, lau.offsets)

    def layers(self) -> dict[str, np.ndarray]:
        """Pictures to switch between in place."""
        image, labels = self.lau.image, self.labels
        errors = {"Errors": compare_errors(image, labels["Bilinear"], labels["LaU"], labels["Truth"])}
        layers = {title: self.lau.overlay(label) for title, label in labels.items()}
        return {"Image": image, "Truth": layers["Truth"]} | errors | layers

    def example(self, limit: float) -> Example:
        """The scene, the place where the models differ most, and how LaU reads there."""
        image, labels, palette = self.lau.image, self.labels, self.lau.classes.palette
        box = busiest_box(labels["Bilinear"] != labels["LaU"], DETAIL)
        details = {title: self.lau.closeup(label, box, 4) for title, label in labels.items()}
        field = self.offsets.field[:, *box.window]
        arrows = offset_arrows(image[box.window], field, self.offsets.stride, spacing=4, zoom=6, limit=limit)
        scene = {"Image": mark(image, box)} | {title: colorize(label, palette) for title, label in labels.items()}
        reading = {
            "Offsets of LaU": offset_colors(self.offsets.field, limit),
            "Where the detail reads": arrows,
            "Before LaU": self.lau.closeup(self.offsets.before, box, 4),
            "After LaU": details["LaU"],
        }
        return Example(f"Scene {self.name}", [scene, {"Detail": magnify(image, box)} | details, reading])
