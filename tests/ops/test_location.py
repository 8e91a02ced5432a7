"""Candidate locations against a pixel at a time."""

from fractions import Fraction
from math import ceil, floor

import pytest
import torch
import torch.nn.functional as F

from offstride.ops.labels import IGNORE_INDEX
from offstride.ops.location import Candidate, best_displacement, coarse_losses, corner_candidates

OPTIONS = [
    {},
    {"weight": torch.tensor([0.5, 2.0, 0.25, 1.0, 0.0])},
    {"label_smoothing": 0.1},
    {"weight": torch.tensor([0.5, 2.0, 0.25, 1.0, 0.0]), "label_smoothing": 0.3},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_coarse_losses_are_torchs_cross_entropy_of_every_class(options, dtype):
    scores = (5 * torch.randn(2, 5, 3, 4, dtype=torch.float64)).to(dtype)
    found = coarse_losses(scores, **options)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch_options = {name: value.double() if name == "weight" else value for name, value in options.items()}
    for c in range(5):
        expected = F.cross_entropy(scores.double(), torch.full((2, 3, 4), c), reduction="none", **torch_options)
        torch.testing.assert_close(found[:, c].double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("origin", ["center", "corner"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
@pytest.mark.parametrize(("coarse", "fine"), [((3, 4), (6, 16)), ((3, 4), (7, 9)), ((1, 1), (2, 1)), ((5, 4), (3, 4))])
def test_corners_are_floor_and_ceiling_of_the_undisplaced_coordinate(origin, dtype, coarse, fine):
    losses = torch.rand(2, 5, *coarse, dtype=torch.float64)
    labels = torch.randint(0, 5, (2, *fine)).to(dtype)
    labels[torch.rand(labels.shape) < 0.2] = IGNORE_INDEX
    shift = Fraction(1, 2) if origin == "center" else 0
    corners = list(corner_candidates(losses, labels, origin=origin))
    order = [(floor, floor), (ceil, floor), (floor, ceil), (ceil, ceil)]  # (y, x): left top, left bottom, right …
    assert len(corners) == 4
    for found, rounding in zip(corners, order, strict=True):
        for b, i, j in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
            base = [(p + shift) * Fraction(c, f) - shift for p, c, f in zip((i, j), coarse, fine, strict=True)]
            y, x = (min(max(r(u), 0), c - 1) for r, u, c in zip(rounding, base, coarse, strict=True))
            label = int(labels[b, i, j])
            assert found.losses[b, i, j] == (0 if label == IGNORE_INDEX else losses[b, label, y, x])
            assert float(found.y[i]) == pytest.approx(float(y - base[0]), abs=1e-12)
            assert float(found.x[j]) == pytest.approx(float(x - base[1]), abs=1e-12)


def candidate(losses, y, x):
    return Candidate(torch.tensor([[losses]]), torch.tensor([y]), torch.full((len(losses),), x))


def test_the_first_least_candidate_wins_and_ties_stay():
    own = torch.tensor([[[1.0, 1.0, 1.0, 0.0, 3.0, 1.0]]])
    offsets = torch.arange(24.0).view(1, 4, 1, 6)
    target, moved = best_displacement(
        own,
        offsets,
        iter(
            [
                candidate([0.5, 2.0, 1.0, 0.0, 2.0, 1.0 - 5e-7], 0.1, 0.2),
                candidate([0.5, 2.0, 1.0, 0.0, 1.0, 1.0 - 5e-7], 0.3, 0.4),
                candidate([0.5, 2.0, 1.0, 0.0, 1.0, 1.0 - 1e-6], 0.5, 0.6),
            ]
        ),
    )
    assert moved.tolist() == [[[True, False, False, False, True, False]]]
    for m in range(2):
        torch.testing.assert_close(target[0, 2 * m : 2 * m + 2, 0, 0], torch.tensor([0.1, 0.2]))
        torch.testing.assert_close(target[0, 2 * m : 2 * m + 2, 0, 4], torch.tensor([0.3, 0.4]))
    assert torch.equal(target[..., [1, 2, 3, 5]], offsets[..., [1, 2, 3, 5]])


def test_rounding_does_not_decide_between_equal_places():
    # Undisplaced and on a coarse pixel, a field and its corner read the same score in different ways.
    generator = torch.Generator().manual_seed(0)
    scores = 30 * torch.randn(1, 7, 9, 9, generator=generator)
    labels = torch.randint(0, 7, (1, 9, 9), generator=generator)
    own = F.cross_entropy(scores.double(), labels, reduction="none").float()
    corners = corner_candidates(coarse_losses(scores), labels, origin="center")
    _, moved = best_displacement(own, torch.zeros(1, 2, 9, 9), corners)
    assert not moved.any()
