"""What a model makes of one image, step by step, as arrays, and the pictures and tables that show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from offstride.data.catalog import ClassSet
from offstride.metrics import SegmentationScores, confusion_matrix
from offstride.visualize.decoder_page import DecodedScene, DecoderPanel, Shot, save_picture
from offstride.visualize.details import Box, busiest_box, magnify, mark
from offstride.visualize.gates import CHANGED, Effect, class_changes, effect, gate_picture
from offstride.visualize.masks import BROKEN, FIXED, MISSED, Color, compare_errors, overlay, save_label_png
from offstride.visualize.offsets import heatmap, offset_arrows, offset_colors, offset_limit
from offstride.visualize.tables import NOTHING

SHARP_WIDTH = 480
"""Smaller pictures are enlarged pixel by pixel to at least this width, so that no viewer blurs them."""

DETAILS = 2

LAU_TEXT = (
    "Before: the coarse scores upsampled bilinearly, as if all offsets were zero. After: what the model predicts. "
)
GATE_TEXT = (
    "A level sends what its gate lets through to all others, and takes in from them where its own gate is low. Setting "
    "a gate to zero shows what the other levels learn from this one. "
)


@dataclass(frozen=True, eq=False)
class Offsets:
    """How location-aware upsampling reads an image.

    Attributes:
        field: `(2, H, W)` displacements (y, x) in coarse pixels; where each class has its own, those of the predicted
            class.
        stride: Image pixels per coarse pixel.
        before: `(H, W)` classes if all offsets were zero; those of the last step, in a cascade of several.
    """

    field: np.ndarray
    stride: float
    before: np.ndarray


@dataclass(frozen=True, eq=False)
class Gate:
    """The gate of a level.

    Attributes:
        name: Of the level: the backbone's feature.
        values: `(h, w)` in 0 … 1 on the grid of the level.
        closed: `(H, W)` classes if the gate is set to zero.
    """

    name: str
    values: np.ndarray
    closed: np.ndarray


@dataclass(frozen=True, eq=False)
class Decoding:
    """An image and what a model makes of it.

    Attributes:
        image: `(H, W, 3)` uint8.
        label: `(H, W)` true classes, if known.
        prediction: `(H, W)` classes.
        confidence: `(H, W)` probability of the predicted class.
        classes: The classes.
        offsets: For a model that ends in location-aware upsampling.
        gates: Finest level first; empty for a model without gates.
    """

    image: np.ndarray
    label: np.ndarray | None
    prediction: np.ndarray
    confidence: np.ndarray
    classes: ClassSet
    offsets: Offsets | None
    gates: Sequence[Gate]

    def overlay(self, label: np.ndarray) -> np.ndarray:
        """The classes of a label map over the image."""
        return overlay(self.image, label, self.classes.palette)

    def closeup(self, label: np.ndarray, box: Box, zoom: int) -> np.ndarray:
        """The classes of a label map over a part of the image, magnified."""
        return overlay(magnify(self.image, box, zoom), magnify(label, box, zoom), self.classes.palette)


@dataclass(frozen=True)
class ScenePainter:
    """Writes the pictures of one image and says how to show them.

    Args:
        folder: Folder of the page.
        name: Of the image, as a path below the folder, without suffix; its pictures go there.
        decoding: What the model makes of the image.
    """

    folder: Path
    name: str
    decoding: Decoding

    def scene(self) -> DecodedScene:
        """Write all pictures; missing folders are made.

        Raises:
            ValueError: If a picture cannot be written.
        """
        it = self.decoding
        save_label_png(self.folder / self.name / "labels.png", it.prediction, it.classes.palette)
        panels = [self._lau_panel(it.offsets)] if it.offsets else []
        if it.gates:
            panels.append(self._gate_panel())
        key = {"Wrong": BROKEN} if it.label is not None else {}
        return DecodedScene(self.name, self._layers(), self._facts(), self._classes(), key, panels)

    def _facts(self) -> dict[str, str]:
        it = self.decoding
        height, width = it.prediction.shape
        facts = {"Size": f"{height} × {width}", "Mean confidence": _percent(float(it.confidence.mean()))}
        if it.label is None:
            return facts
        matrix = confusion_matrix(torch.from_numpy(it.prediction), torch.from_numpy(it.label), len(it.classes))
        scores = SegmentationScores.from_matrix(matrix)
        return facts | {"Pixel accuracy": _percent(scores.pixel_accuracy), "Mean IoU": _percent(scores.miou)}

    def _classes(self) -> dict[str, Color]:
        """The classes that occur."""
        it = self.decoding
        present = {*np.unique(it.prediction), *(() if it.label is None else np.unique(it.label))}
        rows = zip(it.classes.names, it.classes.palette, strict=True)
        return {name: color for index, (name, color) in enumerate(rows) if index in present}

    def _layers(self) -> list[Shot]:
        it = self.decoding
        layers = [self._shot("Image", "image", it.image)]
        if it.label is not None:
            errors = compare_errors(it.image, it.label, it.prediction, it.label)
            layers += [self._shot("Truth", "truth", it.overlay(it.label)), self._shot("Errors", "errors", errors)]
        layers.append(self._shot("Confidence", "confidence", heatmap(it.confidence, 0, 1)))
        return [*layers, self._shot("Prediction", "prediction", it.overlay(it.prediction))]

    def _lau_panel(self, offsets: Offsets) -> DecoderPanel:
        it, limit = self.decoding, offset_limit(offsets.field)
        before, after = offsets.before, it.prediction
        boxes, marked = _details(before != after), it.image
        for box in boxes:  # as thick as it takes to see them when a large image is shown small
            marked = mark(marked, box, thickness=max(1, it.image.shape[1] // 400))
        whole = [
            self._shot("Offsets", "offsets", offset_colors(offsets.field, limit)),
            self._shot("What they change", "lau_changes", self._changes(before, after)),
            self._shot("Details", "details", marked, "where most changes"),
        ]
        details = [self._detail(number, box, offsets, limit) for number, box in enumerate(boxes, 1)]
        changed = effect(before, after, it.label)
        text = f"{LAU_TEXT}The offsets change the class of {_percent(changed.changed)} of the pixels"
        if changed.broken is not None and changed.fixed is not None:
            text += f": {_percent(changed.fixed)} turn right, {_percent(changed.broken)} turn wrong"
        return DecoderPanel("Where pixels read", f"{text}.", [whole, *details], key=self._change_key(), wheel=limit)

    def _detail(self, number: int, box: Box, offsets: Offsets, limit: float) -> list[Shot]:
        it, zoom = self.decoding, -(-SHARP_WIDTH // box.width)
        part, spacing = it.image[box.window], max(2, box.height / 12)
        field = offsets.field[:, *box.window]
        arrows = offset_arrows(part, field, offsets.stride, spacing=spacing, zoom=zoom, limit=limit)
        pictures = {"Image": magnify(it.image, box, zoom), "Arrows": arrows}
        maps = {"Before LaU": offsets.before, "After LaU": it.prediction, "Truth": it.label}
        pictures |= {title: it.closeup(label, box, zoom) for title, label in maps.items() if label is not None}
        titles = {"Image": f"Detail {number}", "Arrows": "Where it reads"}
        return [
            self._shot(titles.get(name, name), f"detail{number}_{name.split()[0].lower()}", picture)
            for name, picture in pictures.items()
        ]

    def _gate_panel(self) -> DecoderPanel:
        it = self.decoding
        effects = [effect(it.prediction, gate.closed, it.label) for gate in it.gates]
        maps, changes = [], []
        layers = [self._shot("All gates", "prediction", it.overlay(it.prediction))]
        for gate, closing in zip(it.gates, effects, strict=True):
            file, title = gate.name.replace(".", "_").replace(" ", ""), f"{gate.name} closed"
            painted = gate_picture(gate.values, it.prediction.shape)
            maps.append(self._shot(gate.name, f"gate_{file}", painted, f"mean {gate.values.mean():.2f}"))
            changed, share = self._changes(it.prediction, gate.closed), closing.broken
            note = f"{_percent(closing.changed)} changes" if share is None else f"{_percent(share)} turns wrong"
            changes.append(self._shot(title, f"closed_{file}_changes", changed, note))
            layers.append(self._shot(title, f"closed_{file}", it.overlay(gate.closed)))
        title, key = "What the gates let through", self._change_key()
        return DecoderPanel(title, GATE_TEXT, [maps, changes], layers, key, *self._table(effects), scale="Gate")

    def _table(self, effects: Sequence[Effect]) -> tuple[list[str], list[list[str]]]:
        """Column heads and rows: what setting each gate to zero does."""
        it = self.decoding
        heads = ["Gate set to zero", "Mean gate", "Pixels that change"]
        known = ["Turn wrong", "Turn right", "Classes that turn wrong"]
        heads += ["Classes that change"] if it.label is None else known
        rows = []
        for gate, closing in zip(it.gates, effects, strict=True):
            shares = [share for share in (closing.changed, closing.broken, closing.fixed) if share is not None]
            losers = ", ".join(f"{it.classes.names[index]} {_percent(part, 0)}" for index, part in closing.classes)
            rows.append([gate.name, f"{gate.values.mean():.2f}", *map(_percent, shares), losers or NOTHING])
        return heads, rows

    def _changes(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        it = self.decoding
        if it.label is None:
            return class_changes(it.image, before, after)
        return compare_errors(it.image, before, after, it.label)

    def _change_key(self) -> dict[str, Color]:
        if self.decoding.label is None:
            return {"Class changes": CHANGED}
        return {"Turns right": FIXED, "Turns wrong": BROKEN, "Wrong both times": MISSED}

    def _shot(self, title: str, file: str, picture: np.ndarray, note: str = "") -> Shot:
        factor = -(-SHARP_WIDTH // picture.shape[1])
        enlarged = picture.repeat(factor, 0).repeat(factor, 1)
        return Shot(title, save_picture(self.folder, f"{self.name}/{file}.png", enlarged), note)


def _details(changed: np.ndarray) -> list[Box]:
    """Boxes that do not overlap, where the most pixels change; none where nothing does."""
    left, boxes = changed.astype(np.float64), []
    height = max(16, min(changed.shape[0] // 4, 96), changed.shape[0] // 6)
    while len(boxes) < DETAILS and (left > 0).any():
        box = busiest_box(left, (height, height * 4 // 3))
        if boxes and not left[box.window].max() > 0:
            break
        boxes.append(box)
        left[max(0, box.top - height) : box.top + box.height, max(0, box.left - box.width) : box.left + box.width] = 0
    return boxes


def _percent(share: float, digits: int = 1) -> str:
    """As text; positive shares that would be rounded to 0 show `< 0.1 %`, NaN a dash."""
    if share != share:
        return NOTHING
    least = 10.0**-digits
    return f"< {least:.{digits}f} %" if 0 < 100 * share < least / 2 else f"{100 * share:.{digits}f} %"
