"""The public fused losses: every implementation against torch, checks, operators and `torch.compile`."""

import pytest
import torch
import torch.nn.functional as F
from dense import Options, case, class_weights, dense_located

from offstride.ops import located_cross_entropy, native, upsample_cross_entropy
from offstride.ops.cross_entropy import operators

pytestmark = pytest.mark.slow

IMPLS = ["reference", "banded", *(["cpu"] if native.library() is not None else []), "auto"]
every_impl = pytest.mark.parametrize("impl", IMPLS)
EPS = torch.finfo(torch.float32).eps


def small(C=4, **options):
    scores, offsets, labels = case(C=C, dtype=torch.float32, **options)
    return scores.requires_grad_(), offsets.requires_grad_(), labels


@every_impl
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"weight": class_weights(4)}, {"label_smoothing": 0.2}])
def test_equals_interpolate_and_cross_entropy(impl, reduction, options):
    scores, _, labels = small()
    rendered = F.interpolate(scores, labels.shape[1:], mode="bilinear", align_corners=False)
    expected = F.cross_entropy(rendered, labels, ignore_index=255, reduction=reduction, **options)
    found = upsample_cross_entropy(scores, labels, reduction=reduction, impl=impl, **options)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    upstream = torch.randn_like(expected)
    for_ours, for_theirs = (torch.autograd.grad(each, scores, upstream)[0] for each in (found, expected))
    torch.testing.assert_close(for_ours, for_theirs, rtol=1e-4, atol=1e-5)


@every_impl
@pytest.mark.parametrize("origin", ["center", "corner"])
@pytest.mark.parametrize(
    "place", [{}, {"guided": 0.3}, {"regression": 0.1}, {"guided": 0.3, "regression": 0.2, "window": 2}]
)
def test_located_equals_the_equations(impl, origin, place):
    scores, offsets, labels = small()
    weight = class_weights(4)
    found = located_cross_entropy(scores, offsets, labels, origin=origin, weight=weight, impl=impl, **place)
    valid = labels[labels != 255]
    divisors = torch.stack((weight[valid].sum(), torch.tensor(float(len(valid)))))
    leaves = [tensor.detach().double().requires_grad_() for tensor in (scores, offsets)]
    options = Options(origin, weight=weight, **place)
    expected = dense_located(*leaves, labels, divisors.double(), options, 2**13 * EPS)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    gradients = torch.autograd.grad(found, (scores, offsets)), torch.autograd.grad(expected, leaves)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-6)


@every_impl
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(impl, dtype):
    scores, offsets, labels = (tensor.detach() for tensor in small())
    half = [scores.to(dtype).requires_grad_(), offsets.to(dtype).requires_grad_()]
    found = located_cross_entropy(*half, labels, regression=0.1, impl=impl)
    exact = located_cross_entropy(*(x.detach().double() for x in half), labels, regression=0.1, impl="reference")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)
    assert [x.dtype for x in torch.autograd.grad(found, half)] == [dtype] * 2


@every_impl
def test_nothing_valid_costs_nothing(impl):
    scores, offsets, labels = small()
    labels = torch.full_like(labels, 255)
    for loss in (
        upsample_cross_entropy(scores, labels, impl=impl),
        located_cross_entropy(scores, offsets, labels, guided=0.3, regression=0.1, impl=impl),
    ):
        gradients = torch.autograd.grad(loss, (scores, offsets), allow_unused=True)
        assert loss.item() == 0
        assert all(each is None or not each.any() for each in gradients)


@pytest.mark.parametrize("impl", [impl for impl in IMPLS if impl != "auto"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_any_integer_labels(impl, dtype):
    scores, _, labels = small()
    signed = torch.where(labels == 255, -1, labels).to(dtype)
    ignore = 255 if dtype == torch.uint8 else -1
    found = upsample_cross_entropy(scores, signed, ignore_index=ignore, impl=impl)
    torch.testing.assert_close(found, upsample_cross_entropy(scores, labels, impl=impl), rtol=0, atol=0)


@every_impl
def test_gradients_can_be_differentiated_again(impl):
    scores, offsets, labels = small()

    def twice(impl):
        loss = located_cross_entropy(scores, offsets, labels, impl=impl)
        (first,) = torch.autograd.grad(loss, scores, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (scores, offsets))

    for ours, theirs in zip(twice(impl), twice("reference"), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_only_what_needs_a_gradient_gets_one():
    scores, offsets, labels = small()
    located_cross_entropy(scores.detach(), offsets, labels).backward()
    assert scores.grad is None
    assert offsets.grad.abs().sum() > 0
    with torch.no_grad():
        assert not located_cross_entropy(scores, offsets, labels).requires_grad


def not_compiled(loss, *tensors):
    return loss(*tensors), torch.autograd.grad(loss(*tensors), [x for x in tensors if x.requires_grad])


@pytest.mark.parametrize("impl", [impl for impl in IMPLS if impl != "reference"])
def test_compiles_into_one_graph(impl):
    scores, offsets, labels = small()

    def loss(scores, offsets, labels):
        plain = upsample_cross_entropy(2 * scores, labels, impl=impl)
        return plain + located_cross_entropy(scores, offsets, labels, guided=0.3, regression=0.1, impl=impl)

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    for ours, theirs in zip(
        not_compiled(compiled, scores, offsets, labels), not_compiled(loss, scores, offsets, labels), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("impl", ["banded", *(["cpu"] if native.library() is not None else [])])
@pytest.mark.parametrize("weight", [None, class_weights(4)])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own look
def test_operators_keep_their_promises(impl, weight):
    scores, offsets, labels = small()
    count = torch.tensor(11.0)
    rest = ("center", 0.1, 255)
    check = torch.library.opcheck
    check(operators.label_weight, (labels, weight, 4, 255))
    for moves, terms in ((None, (None, None, 1, "penalize")), (offsets, (0.3, 0.1, 1, "penalize"))):
        divisors = torch.stack((count, count))
        check(operators.loss, (scores, moves, labels, divisors, weight, impl, *rest, *terms, True))
        check(operators.pixels, (scores, moves, labels, weight, impl, *rest))


def test_autocast_leaves_it_alone():
    scores, offsets, labels = small()
    expected = located_cross_entropy(scores, offsets, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(located_cross_entropy(scores, offsets, labels), expected)


SCORES, LABELS, OFFSETS = torch.zeros(1, 3, 2, 2), torch.zeros(1, 4, 4, dtype=torch.int64), torch.zeros(1, 2, 4, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: upsample_cross_entropy(SCORES[0], LABELS), "scores: expected a floating-point .* got torch.float32"),
        (lambda: upsample_cross_entropy(SCORES.long(), LABELS), "scores: expected a floating-point .* got torch.int64"),
        (lambda: upsample_cross_entropy(SCORES, LABELS[0]), r"labels: expected shape .*got \(4, 4\)"),
        (lambda: upsample_cross_entropy(SCORES, LABELS.float()), "labels: expected an integer type, got torch.float32"),
        (lambda: upsample_cross_entropy(SCORES, LABELS + 3), r"labels: expected classes 0 … 2 or 255 .*got \[3\]"),
        (lambda: upsample_cross_entropy(SCORES, LABELS - 1), r"labels: expected classes .*got \[-1\]"),
        (lambda: upsample_cross_entropy(SCORES, LABELS, reduction="max"), "reduction: expected one of .*got 'max'"),
        (lambda: upsample_cross_entropy(SCORES, LABELS, origin="edge"), "origin: expected one of .*got 'edge'"),
        (lambda: upsample_cross_entropy(SCORES, LABELS, impl="gpu"), "impl: expected one of .*got 'gpu'"),
        (lambda: upsample_cross_entropy(SCORES, LABELS, impl="triton"), "impl: 'triton' cannot be used here.*use '"),
        (lambda: upsample_cross_entropy(SCORES.double(), LABELS, impl="cpu"), "impl: 'cpu' cannot be used .*float64"),
        (lambda: upsample_cross_entropy(SCORES, LABELS, ignore_index=None), "ignore_index: expected an integer"),
        (lambda: located_cross_entropy(SCORES, OFFSETS[:, :1], LABELS), "offsets: expected 2M channels"),
        (lambda: located_cross_entropy(SCORES, OFFSETS[..., :3], LABELS), r"labels: expected shape \(1, 4, 3\)"),
        (lambda: located_cross_entropy(SCORES, OFFSETS, LABELS, guided=-1.0), "guided: expected .*got -1.0"),
        (lambda: located_cross_entropy(SCORES, OFFSETS, LABELS, window=0), "window: expected 1 or more, got 0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
