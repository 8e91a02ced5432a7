"""The offset-guided loss against Eq. 3 written out densely."""

import equations
import pytest
import torch
from cases import CASES, close, gradients, make_case

from offstride.field import BilinearField, DenseField, LocatedField, cross_entropy
from offstride.losses import offset_guided_loss


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ties", ["penalize", "spare"])
@pytest.mark.parametrize("normalize", ["valid", "all"])
def test_value_and_gradients_are_those_of_the_equation(case, ties, normalize):
    case = make_case(case)
    found = offset_guided_loss(case.field, case.labels, penalty=0.4, ties=ties, normalize=normalize, **case.options)
    expected = equations.offset_guided(
        *case.leaves, case.labels, penalty=0.4, ties=ties, normalize=normalize, **case.equation
    )
    close(found, expected)
    for ours, theirs in zip(gradients(found, case.leaves), gradients(expected, case.leaves), strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("origin", ["center", "corner"])
@pytest.mark.parametrize("then_bilinear", [False, True])
def test_staying_put_is_a_tie(dtype, origin, then_bilinear):
    """Eq. 3 punishes the trivial solution Δ = 0 at every pixel; rounding must not let any off."""
    scores = (4 * torch.randn(2, 5, 6, 7)).to(dtype)
    field = LocatedField(scores, torch.zeros(2, 2, 24, 28), origin)
    field = BilinearField(field, (48, 56), origin) if then_bilinear else field
    labels = torch.randint(0, 5, (2, *field.shape[2:]))
    plain = cross_entropy(field, labels)
    torch.testing.assert_close(offset_guided_loss(field, labels, penalty=0.5), 1.5 * plain)
    torch.testing.assert_close(offset_guided_loss(field, labels, penalty=0.5, ties="spare"), plain)


def test_no_penalty_is_cross_entropy():
    case = make_case("center")
    close(offset_guided_loss(case.field, case.labels, penalty=0.0), cross_entropy(case.field, case.labels))


@pytest.mark.parametrize("normalize", ["valid", "all"])
def test_nothing_but_ignored_pixels_costs_nothing(normalize):
    case = make_case("then bilinear")
    labels = torch.full_like(case.labels, 255)
    loss = offset_guided_loss(case.field, labels, normalize=normalize)
    assert loss.item() == 0
    assert all((gradient == 0).all() for gradient in gradients(loss, case.leaves))


def test_across_joins_uneven_batches():
    case = make_case("weights and smoothing")
    case.labels[0, 2:] = 255
    joined = offset_guided_loss(case.field, case.labels, **case.options)
    counts = []
    for part in case.halves():
        offset_guided_loss(*part, **case.options, across=lambda count: counts.append(count) or count)
    assert counts[0] != counts[1]
    mean = sum(counts) / 2
    first, second = (offset_guided_loss(*part, **case.options, across=lambda _: mean) for part in case.halves())
    close((first + second) / 2, joined)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"field": BilinearField(torch.zeros(2, 4, 3, 3), (9, 10))}, "field: expected location-aware .*BilinearField"),
        ({"field": DenseField(torch.zeros(2, 4, 9, 10))}, "field: expected location-aware .*DenseField"),
        ({"ties": "split"}, "ties: expected one of .*got 'split'"),
        ({"normalize": "some"}, "normalize: expected one of .*got 'some'"),
        ({"labels": torch.full((2, 9, 10), 4)}, "labels: expected classes"),
        ({"weight": torch.ones(3)}, "weight: expected shape"),
    ],
)
def test_errors_name_the_argument(change, message):
    case = make_case("center")
    with pytest.raises(ValueError, match=message):
        offset_guided_loss(**{"field": case.field, "labels": case.labels} | change)
