"""Place the labels of a chart without overlaps. Lengths are in the units of the drawing, y points down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Place = tuple[float, float]
Box = tuple[float, float, float, float]
"""(left, top, right, bottom), or a line (x1, y1, x2, y2)."""

_HEIGHT, _GLYPH = 14.0, 6.6
_CROSSING = 40.0
_REACHES = (0, 10, 20, 32, 46, 62, 80, 100, 122, 146, 172)
_ANGLES = (0, 180, 270, 90, 315, 45, 225, 135, 292, 68, 248, 112, 338, 22, 202, 158)


@dataclass(frozen=True)
class Label:
    """A text, its place and the line that leads to it.

    Args:
        text: Its text.
        x: Its middle.
        y: Its base line.
        leader: From the point to the text, `(x1, y1, x2, y2)`; None where the text is beside the point.
    """

    text: str
    x: float
    y: float
    leader: Box | None


def shorten(text: str, length: int = 22) -> str:
    """The text, with an ellipsis in its middle if it is longer."""
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[: length - 1 - half]}…{text[-half:]}"


def text_width(text: str) -> float:
    """An upper estimate of the width of a text that is 12 units high."""
    return _GLYPH * len(text) + 4


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move numbers apart until neighbours are `gap` apart, between `low` and `high`; their order stays.

    Each run of numbers that touch keeps its mean where the ends allow. If there are more than fit, the gap shrinks.
    """
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    order = sorted(range(len(places)), key=lambda index: places[index])
    blocks: list[tuple[float, int]] = []  # (first place, how many)
    for index in order:
        first, size = min(max(places[index], low), high), 1
        while blocks and blocks[-1][0] + gap * blocks[-1][1] > first:
            before, count = blocks.pop()
            total = count * (before + gap * (count - 1) / 2) + size * (first + gap * (size - 1) / 2)
            size += count
            mean = total / size
            first = min(max(mean - gap * (size - 1) / 2, low), high - gap * (size - 1))
        blocks.append((first, size))
    moved = (first + gap * number for first, size in blocks for number in range(size))
    return [place for _, place in sorted(zip(order, moved, strict=True))]


def place_labels(points: Sequence[Place], texts: Sequence[str], frame: Box) -> list[Label]:
    """Put a text beside each point, inside a frame (left, top, right, bottom), as near as other labels allow.

    A text overlaps neither another nor a point; one that is further away gets a leader. A text that fits nowhere is
    put beside its point.
    """
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    labels: dict[int, Label] = {}
    leaders: list[Box] = []
    for index in sorted(range(len(points)), key=lambda index: points[index]):
        box, leader = _choose(points[index], text_width(texts[index]), frame, taken, leaders)
        taken.append(box)
        leaders += [leader] if leader else []
        labels[index] = Label(texts[index], (box[0] + box[2]) / 2, box[3] - 3.5, leader)
    return [labels[index] for index in range(len(points))]


def _choose(
    point: Place, wide: float, frame: Box, taken: Sequence[Box], leaders: Sequence[Box]
) -> tuple[Box, Box | None]:
    """The nearest free box around a point, with its leader; every crossing adds `_CROSSING` to the distance."""
    spots = [(reach, *_beside(point, wide, angle, reach)) for reach in _REACHES for angle in _ANGLES]
    best, choice = math.inf, (spots[0][1], None)
    for reach, box, leader in spots:
        inside = box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
        if not inside or any(_overlap(box, other) for other in taken):
            continue
        crossings = sum(_touches(box, other) for other in leaders)
        if reach:
            crossings += sum(_touches(other, leader) for other in taken if not _holds(other, point))
        if reach + _CROSSING * crossings < best:
            best, choice = reach + _CROSSING * crossings, (box, leader if reach else None)
    return choice


def _beside(point: Place, wide: float, angle: float, reach: float) -> tuple[Box, Box]:
    """A box that begins `reach` beyond a point's dot in a direction, and the leader to its edge."""
    dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = point[0] + (8 + reach) * dx, point[1] + (8 + reach) * dy
    left = x - wide / 2 + wide / 2 * (dx if abs(dx) < 0.5 else math.copysign(1, dx))
    top = y - _HEIGHT / 2 + _HEIGHT / 2 * dy
    return (left, top, left + wide, top + _HEIGHT), (point[0] + 6 * dx, point[1] + 6 * dy, x - dx, y - dy)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _holds(box: Box, point: Place) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _touches(box: Box, line: Box) -> bool:
    """Whether a line passes through a box, tried at points along it."""
    x1, y1, x2, y2 = line
    return any(_holds(box, (x1 + (x2 - x1) * step / 12, y1 + (y2 - y1) * step / 12)) for step in range(13))
