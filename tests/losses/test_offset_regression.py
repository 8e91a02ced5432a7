"""The offset-regression loss against Eq. 4 written out densely."""

import equations
import pytest
import torch
from cases import CASES, close, gradients, make_case

from offstride.field import BilinearField, LocatedField, cross_entropy
from offstride.losses import offset_regression_loss


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("normalize", ["valid", "all"])
def test_value_and_gradients_are_those_of_the_equation(case, normalize):
    case = make_case(case)
    found = offset_regression_loss(
        case.field, case.labels, penalty=0.4, strength=0.7, normalize=normalize, **case.options
    )
    expected = equations.offset_regression(
        *case.leaves, case.labels, penalty=0.4, strength=0.7, normalize=normalize, **case.equation
    )
    close(found, expected)
    for ours, theirs in zip(gradients(found, case.leaves), gradients(expected, case.leaves), strict=True):
        close(ours, theirs)


def test_without_strength_and_penalty_it_is_cross_entropy():
    case = make_case("center")
    found = offset_regression_loss(case.field, case.labels, penalty=0.0, strength=0.0)
    close(found, cross_entropy(case.field, case.labels))


@pytest.mark.parametrize(("size", "spread"), [(6, 1.0), (64, 3.0), (8, 40.0)])
def test_a_pixel_on_a_coarse_pixel_stays(size, spread):
    """Reading a corner itself ties with that corner, in single precision and with saturated scores too."""
    generator = torch.Generator().manual_seed(0)
    scores = spread * torch.randn(2, 5, size, size, generator=generator)
    field = LocatedField(scores, torch.zeros(2, 2, size, size, requires_grad=True), "corner")
    labels = torch.randint(0, 5, (2, size, size), generator=generator)
    loss = offset_regression_loss(field, labels, penalty=0.5, strength=2.0)
    torch.testing.assert_close(loss, cross_entropy(field, labels), rtol=1e-6, atol=0)


def test_the_pull_points_to_the_winning_corner():
    """One coarse pixel predicts the label: every pixel whose cell touches it is drawn there, the others are not."""
    scores = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    scores[0, 1, 1, 2] = 3.0
    offsets = torch.zeros(1, 2, 16, 16, dtype=torch.float64, requires_grad=True)
    labels = torch.ones(1, 16, 16, dtype=torch.int64)
    field = LocatedField(scores, offsets)
    with_pull, without = (offset_regression_loss(field, labels, strength=s, penalty=0.0) for s in (1.0, 0.0))
    (pull,) = torch.autograd.grad(with_pull - without, offsets)
    base = (torch.arange(16, dtype=torch.float64) + 0.5) / 4 - 0.5
    to_y, to_x = torch.broadcast_tensors((1 - base)[:, None], 2 - base)
    near = (to_y.abs() < 1) & (to_x.abs() < 1)
    expected = torch.stack((-to_y, -to_x)) * near / (2 * 256)  # smooth-L1 is quadratic so close; mean of two axes
    close(pull[0], expected)


@pytest.mark.parametrize("normalize", ["valid", "all"])
def test_nothing_but_ignored_pixels_costs_nothing(normalize):
    case = make_case("then bilinear")
    loss = offset_regression_loss(case.field, torch.full_like(case.labels, 255), normalize=normalize)
    assert loss.item() == 0
    assert all((gradient == 0).all() for gradient in gradients(loss, case.leaves))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype):
    case = make_case("center", spread=3.0)
    scores, offsets = (tensor.detach().to(dtype) for tensor in case.leaves)
    options = {"strength": 5.0, "penalty": 0.0}
    found = offset_regression_loss(LocatedField(scores, offsets), case.labels, **options)
    expected = offset_regression_loss(LocatedField(scores.double(), offsets.double()), case.labels, **options)
    torch.testing.assert_close(found.double(), expected, rtol=2e-5, atol=0)


def test_across_joins_uneven_batches():
    case = make_case("weights and smoothing")
    case.labels[0, 2:] = 255
    joined = offset_regression_loss(case.field, case.labels, **case.options)
    counts = []
    for part in case.halves():
        offset_regression_loss(*part, **case.options, across=lambda count: counts.append(count) or count)
    weights, pixels = counts[0] + counts[2], counts[1] + counts[3]  # class weights, then plain pixels
    assert counts[1] != counts[3]
    losses = []
    for part in case.halves():
        means = iter((weights / 2, pixels / 2))
        losses.append(offset_regression_loss(*part, **case.options, across=lambda _, means=means: next(means)))
    close(sum(losses) / 2, joined)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"field": BilinearField(torch.zeros(2, 4, 3, 3), (9, 10))}, "field: expected location-aware .*BilinearField"),
        ({"normalize": "some"}, "normalize: expected one of .*got 'some'"),
        ({"labels": torch.full((2, 9, 10), 4)}, "labels: expected classes"),
        ({"label_smoothing": 1.5}, "label_smoothing: expected"),
    ],
)
def test_errors_name_the_argument(change, message):
    case = make_case("center")
    with pytest.raises(ValueError, match=message):
        offset_regression_loss(**{"field": case.field, "labels": case.labels} | change)
