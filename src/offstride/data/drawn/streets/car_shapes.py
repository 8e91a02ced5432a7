"""Shapes of cars: side views of body and cabin that are drawn out to the car's width."""

from dataclasses import dataclass

Span = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """A kind of car in metres: outlines seen from its right side as (along, up), the nose at positive `along`.

    Attributes:
        body: Outline over the top: lower rear corner, bumper, boot edge, windscreen foot, bonnet edge, bumper, lower
            front corner.
        cabin: Rear foot, rear top, front top and front foot of the glasshouse.
        width: Of the body.
        axles: Where the wheels sit.
        wheel: Radius of the wheels.
        inset: How much narrower the roof is than the body, on each side.
        blind: Whether the rear of the cabin has no side windows.
    """

    body: tuple[Span, ...]
    cabin: tuple[Span, Span, Span, Span]
    width: float
    axles: tuple[float, float]
    wheel: float
    inset: float = 0.2
    blind: bool = False


SHAPES = (
    Shape(
        ((-2.15, 0.26), (-2.25, 0.58), (-2.15, 0.95), (0.95, 0.95), (2.05, 0.76), (2.22, 0.55), (2.15, 0.26)),
        ((-1.95, 0.93), (-1.2, 1.42), (0.1, 1.42), (1.0, 0.93)), 1.78, (-1.35, 1.35), 0.32,
    ),
    Shape(
        ((-1.9, 0.26), (-1.98, 0.6), (-1.9, 0.95), (0.9, 0.96), (1.75, 0.80), (1.95, 0.55), (1.88, 0.26)),
        ((-1.88, 0.93), (-1.55, 1.48), (0.05, 1.48), (0.95, 0.94)), 1.72, (-1.2, 1.2), 0.31,
    ),
    Shape(
        ((-2.15, 0.34), (-2.25, 0.7), (-2.2, 1.08), (1.0, 1.08), (2.05, 0.96), (2.25, 0.7), (2.15, 0.34)),
        ((-2.18, 1.06), (-1.95, 1.72), (0.2, 1.72), (1.05, 1.07)), 1.88, (-1.35, 1.38), 0.38,
    ),
    Shape(
        ((-2.5, 0.3), (-2.55, 0.7), (-2.5, 1.1), (1.6, 1.1), (2.35, 0.92), (2.5, 0.6), (2.45, 0.3)),
        ((-2.5, 1.08), (-2.45, 2.05), (1.0, 2.05), (1.65, 1.08)), 1.98, (-1.6, 1.6), 0.35, 0.1, True,
    ),
)  # fmt: skip
"""Saloon, hatchback, off-roader and van."""
