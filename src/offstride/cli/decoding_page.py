"""The pictures of `offstride visualize`, and how they are laid out on its page."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from offstride.evaluate.decoding import Decoding, Offsets
from offstride.metrics import SegmentationScores, confusion_matrix
from offstride.visualize import (
    Box,
    DecodedScene,
    DecoderPanel,
    Effect,
    Shot,
    busiest_box,
    class_changes,
    compare_errors,
    effect,
    gate_picture,
    heatmap,
    magnify,
    mark,
    offset_arrows,
    offset_colors,
    offset_limit,
    overlay,
    save_label_png,
    save_picture,
)
from offstride.visualize.gates import CHANGED
from offstride.visualize.masks import BROKEN, FIXED, MISSED, Color

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


@dataclass(frozen=True)
class ScenePainter:
    """Writes the pictures of one image and says how to show them.

    Args:
        folder: Where the page is.
        name: Of the image, as a path below the folder, without suffix; its pictures go there.
        decoding: What the model makes of the image.
    """

    folder: Path
    name: str
    decoding: Decoding

    def scene(self) -> DecodedScene:
        """Write everything."""
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
        present = set(np.unique(it.prediction)) | set(() if it.label is None else np.unique(it.label))
        rows = zip(it.classes.names, it.classes.palette, strict=True)
        return {name: color for index, (name, color) in enumerate(rows) if index in present}

    def _layers(self) -> list[Shot]:
        it = self.decoding
        layers = [self._shot("Image", "image", it.image)]
        if it.label is not None:
            errors = compare_errors(it.image, it.label, it.prediction, it.label)
            layers += [self._labels("Truth", "truth", it.label), self._shot("Errors", "errors", errors)]
        layers.append(self._shot("Confidence", "confidence", heatmap(it.confidence, 0, 1)))
        return [*layers, self._labels("Prediction", "prediction", it.prediction)]

    def _lau_panel(self, offsets: Offsets) -> DecoderPanel:
        it, limit = self.decoding, offset_limit(offsets.field)
        before, after = offsets.before, it.prediction
        boxes = _details(before != after)
        whole = [
            self._shot("Offsets", "offsets", offset_colors(offsets.field, limit)),
            self._shot("What they change", "lau_changes", self._changes(before, after)),
            self._shot("Details", "details", _marked(it.image, boxes), "where most changes"),
        ]
        details = [self._detail(number, box, offsets, limit) for number, box in enumerate(boxes, 1)]
        text = LAU_TEXT + _sentence("The offsets", effect(before, after, it.label))
        return DecoderPanel("Where pixels read", text, [whole, *details], key=self._change_key(), wheel=limit)

    def _detail(self, number: int, box: Box, offsets: Offsets, limit: float) -> list[Shot]:
        it = self.decoding
        zoom = -(-SHARP_WIDTH // box.width)
        arrows = offset_arrows(
            it.image[box.window],
            offsets.field[:, *box.window],
            offsets.stride,
            spacing=max(2, box.height / 12),
            zoom=zoom,
            limit=limit,
        )
        detail = magnify(it.image, box, zoom)
        shots = [
            self._shot(f"Detail {number}", f"detail{number}_image", detail),
            self._shot("Where it reads", f"detail{number}_arrows", arrows),
        ]
        maps = {"Before LaU": offsets.before, "After LaU": it.prediction, "Truth": it.label}
        for title, label in maps.items():
            if label is not None:
                close = overlay(detail, magnify(label, box, zoom), it.classes.palette)
                shots.append(self._shot(title, f"detail{number}_{title.split()[0].lower()}", close))
        return shots

    def _gate_panel(self) -> DecoderPanel:
        it = self.decoding
        effects = [effect(it.prediction, gate.closed, it.label) for gate in it.gates]
        maps, changes, layers = [], [], [self._labels("All gates", "prediction", it.prediction)]
        for gate, found in zip(it.gates, effects, strict=True):
            file = gate.name.replace(".", "_").replace(" ", "")
            painted = gate_picture(gate.values, it.prediction.shape)
            maps.append(self._shot(gate.name, f"gate_{file}", painted, f"mean {gate.values.mean():.2f}"))
            changed = self._changes(it.prediction, gate.closed)
            lost = "changes" if found.broken is None else "turns wrong"
            share = found.changed if found.broken is None else found.broken
            note = f"{_percent(share)} {lost}"
            changes.append(self._shot(f"{gate.name} closed", f"closed_{file}_changes", changed, note))
            layers.append(self._labels(f"{gate.name} closed", f"closed_{file}", gate.closed))
        return DecoderPanel(
            "What the gates let through",
            GATE_TEXT,
            [maps, changes],
            layers,
            self._change_key(),
            *self._table(effects),
            scale="Gate",
        )

    def _table(self, effects: list[Effect]) -> tuple[list[str], list[list[str]]]:
        it = self.decoding
        known = it.label is not None
        outcome = ["Turn wrong", "Turn right"] if known else []
        losing = "Classes that turn wrong" if known else "Classes that change"
        heading = ["Gate set to zero", "Mean gate", "Pixels that change", *outcome, losing]
        rows = []
        for gate, found in zip(it.gates, effects, strict=True):
            shares = [found.changed] + [share for share in (found.broken, found.fixed) if share is not None]
            losers = ", ".join(f"{it.classes.names[index]} {_percent(part, 0)}" for index, part in found.classes)
            rows.append([gate.name, f"{gate.values.mean():.2f}", *map(_percent, shares), losers or "–"])
        return heading, rows

    def _changes(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        it = self.decoding
        if it.label is None:
            return class_changes(it.image, before, after)
        return compare_errors(it.image, before, after, it.label)

    def _change_key(self) -> dict[str, Color]:
        if self.decoding.label is None:
            return {"Class changes": CHANGED}
        return {"Turns right": FIXED, "Turns wrong": BROKEN, "Wrong both times": MISSED}

    def _labels(self, title: str, file: str, label: np.ndarray) -> Shot:
        it = self.decoding
        return self._shot(title, file, overlay(it.image, label, it.classes.palette))

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


def _marked(image: np.ndarray, boxes: list[Box]) -> np.ndarray:
    """The outlines, as thick as it takes to see them when a large image is shown small."""
    for box in boxes:
        for inset in reversed(range(max(1, image.shape[1] // 400))):  # each ring covers the dark line of the one inside
            ring = Box(box.top + inset, box.left + inset, box.height - 2 * inset, box.width - 2 * inset)
            image = mark(image, ring)
    return image


def _sentence(subject: str, found: Effect) -> str:
    text = f"{subject} change the class of {_percent(found.changed)} of the pixels"
    if found.broken is None or found.fixed is None:
        return f"{text}."
    return f"{text}: {_percent(found.fixed)} turn right, {_percent(found.broken)} turn wrong."


def _percent(share: float, digits: int = 1) -> str:
    """As text; shares that would be rounded away remain to be seen, those of nothing (NaN) are a dash."""
    if share != share:
        return "–"
    least = 10.0**-digits
    if 0 < 100 * share < least / 2:
        return f"< {least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"
