"""Location-aware fields with their tensors, labels and options, for the tests of both location losses."""

from dataclasses import dataclass

import torch

from offstride.field import BilinearField, LocatedField

WEIGHT = torch.tensor([0.5, 2.0, 0.25, 1.0])

CASES = {
    "center": {},
    "corner": {"origin": "corner"},
    "pairs": {"groups": 2},
    "each class": {"groups": 4, "origin": "corner"},
    "weights": {"weight": WEIGHT},
    "weights and smoothing": {"weight": WEIGHT, "smoothing": 0.2},
    "then bilinear": {"size": (17, 21)},
    "then bilinear, corner, pairs": {"size": (16, 20), "origin": "corner", "groups": 2, "smoothing": 0.1},
    "one coarse pixel": {"coarse": (1, 1)},
}


@dataclass
class Case:
    """`options` are what the losses take, `equation` what their transcriptions take."""

    leaves: tuple
    labels: torch.Tensor
    size: tuple | None
    origin: str
    options: dict
    equation: dict

    def build(self, scores, offsets):
        field = LocatedField(scores, offsets, self.origin)
        return field if self.size is None else BilinearField(field, self.size, self.origin)

    @property
    def field(self):
        return self.build(*self.leaves)

    def halves(self):
        """Each image with its labels, as two processes have them."""
        for b in (0, 1):
            yield self.build(*(tensor[b : b + 1] for tensor in self.leaves)), self.labels[b : b + 1]


def make_case(name, spread=1.0):
    """Random scores and offsets in float64 and labels of which a fifth are ignored."""
    settings = {"origin": "center", "groups": 1, "weight": None, "smoothing": 0.0, "size": None, "coarse": (3, 4)}
    settings |= CASES[name]
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    fine = (9, 10)
    scores = 2 * torch.randn(2, 4, *settings["coarse"], generator=generator, dtype=torch.float64)
    offsets = spread * torch.randn(2, 2 * settings["groups"], *fine, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, *(settings["size"] or fine)), generator=generator, dtype=torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = 255
    shared = {"weight": settings["weight"]}
    return Case(
        leaves=(scores.requires_grad_(), offsets.requires_grad_()),
        labels=labels,
        size=settings["size"],
        origin=settings["origin"],
        options=shared | {"label_smoothing": settings["smoothing"]},
        equation=shared | {name: settings[name] for name in ("smoothing", "origin", "size")},
    )


def gradients(loss, leaves):
    return torch.autograd.grad(loss, leaves, retain_graph=True)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
