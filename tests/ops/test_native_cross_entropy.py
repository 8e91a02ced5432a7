"""The compiled kernels, of every instruction set of this processor, against dense scores in double precision.

Their error may be at most 1.5 times that of the dense form in single precision, but for one rounding of the result.
"""

import ctypes

import pytest
import torch
from dense import ORIGINS, SIZES, Options, case, class_weights, dense_located, dense_pixels, render
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride.ops import native
from offstride.ops.cross_entropy import cpu, reference
from offstride.ops.cross_entropy.options import NO_TERMS

pytestmark = pytest.mark.skipif(native.library() is None, reason="the kernels are not compiled")
EPS = torch.finfo(torch.float32).eps
DIVISORS = torch.tensor([37.0, 11.0])


def instruction_sets():
    found = []
    for name in ("baseline", "avx2", "avx512") if native.library() is not None else ():
        try:
            found.append(native.use(name))
        except ValueError:
            continue
    return found


@pytest.fixture(params=instruction_sets())
def isa(request):
    native.use(request.param)
    native.library().offstride_fill_memory(ctypes.c_float(float("nan")))  # reading what was never written shows
    yield request.param
    native.use()


def distance(found, exact):
    """Relative distance of two tensors, by their Euclidean norms."""
    return ((found.double() - exact).norm() / exact.norm().clamp(min=1e-30)).item()


class Errors:
    """Errors of several cases, ours and those of the dense form; single ones are a matter of luck."""

    def __init__(self):
        self.squares = []

    def add(self, found, dense, exact):
        each = []
        for ours, theirs, truth in zip(found, dense, exact, strict=True):
            assert ours.isfinite().all()
            if truth.abs().max() < 1e-12:  # one class, one pixel
                assert ours.abs().max() < 1e-6
                each.append((0.0, 0.0))
            else:
                each.append((distance(ours, truth) ** 2, distance(theirs, truth) ** 2))
        self.squares.append(each)

    def check(self):
        for output in zip(*self.squares, strict=True):
            ours, theirs = ((sum(each) / len(output)) ** 0.5 for each in zip(*output, strict=True))
            assert ours <= 1.5 * theirs + EPS / 2


def with_gradients(function, *tensors):
    leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    loss = function(*leaves)
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


def check_bilinear(scores, labels, options, errors):
    terms = options.of_loss()
    found = cpu.loss(scores, None, labels, DIVISORS, **terms, **NO_TERMS, gradient=True)[:2]
    dense = with_gradients(lambda s: reference.loss(s, None, labels, DIVISORS, **terms, **NO_TERMS), scores.float())

    def exactly(s):
        still = torch.zeros(len(s), 2, *labels.shape[1:], dtype=torch.float64)
        return dense_pixels(render(s, still, options.origin), labels, options).sum() / DIVISORS[0]

    assert found[1].dtype == scores.dtype
    if scores.dtype == torch.float32:
        errors.add(found, dense, with_gradients(exactly, scores.double()))
    else:  # the gradient is rounded to the type of the scores at the end
        assert distance(found[1], with_gradients(exactly, scores.double())[1]) < torch.finfo(scores.dtype).eps
    alone, none = cpu.loss(scores, None, labels, DIVISORS, **terms, **NO_TERMS, gradient=False)[:2]
    assert torch.equal(alone, found[0])
    assert none is None


def check_located(scores, offsets, labels, options, errors):
    terms = options.of_loss() | options.of_place()
    found = cpu.loss(scores, offsets, labels, DIVISORS, **terms, gradient=True)
    dense = with_gradients(lambda *x: reference.loss(*x, labels, DIVISORS, **terms), scores, offsets)

    def exactly(*leaves):
        noise = 2**13 * EPS
        return dense_located(*leaves, labels, DIVISORS.double(), options, noise)

    errors.add(found, dense, with_gradients(exactly, scores.double(), offsets.double()))
    alone = cpu.loss(scores, offsets, labels, DIVISORS, **terms, gradient=False)
    assert torch.equal(alone[0], found[0])


def check_but_for_ties(scores, offsets, labels, options):
    """As `check_located`, where rounding decides comparisons of Eq. 4 for a few pixels: those of saturated losses, of
    which single precision has many that are 0.
    """
    terms = options.of_loss() | options.of_place()
    found = cpu.loss(scores, offsets, labels, DIVISORS, **terms, gradient=True)

    def exactly(*leaves):
        return dense_located(*leaves, labels, DIVISORS.double(), options, 2**13 * EPS)

    exact = with_gradients(exactly, scores.double(), offsets.double())
    dense = reference.loss(scores, offsets, labels, DIVISORS, **terms)
    ties = 2e-3 if options.origin == "aligned" else 1e-4  # many pixels of small aligned maps lie on coarse ones
    assert distance(found[0], exact[0]) <= max(ties, 1.5 * distance(dense, exact[0]))
    for ours, theirs in zip(found[1:], exact[1:], strict=True):
        fallen = (ours - theirs).abs() > 1e-4 * theirs.abs().max() + 1e-6
        assert fallen.sum() <= max(2, 0.02 * fallen.numel())


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize("labels", [torch.uint8, torch.int64])
def test_bilinear(isa, origin, scale, labels):
    plain, weighted = Errors(), Errors()
    for C, (coarse, fine) in zip((150, 2, 5, 16, 17, 21, 1, 64, 33), SIZES, strict=True):
        scores, _, index = case(coarse, fine, C=C, scale=scale, labels=labels, dtype=torch.float32)
        check_bilinear(scores, index, Options(origin), plain)
        check_bilinear(scores, index, Options(origin, weight=class_weights(C), label_smoothing=0.2), weighted)
    plain.check()
    weighted.check()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_bilinear_of_half_precision(isa, dtype):
    scores, _, labels = case(C=21, dtype=dtype)
    check_bilinear(scores, labels, Options(), Errors())


PLACES = [{}, {"guided": 0.3}, {"guided": 0.5, "ties": "spare"}, {"guided": 0.3, "regression": 0.1}]
PLACES += [{"regression": 0.7, "window": 2}]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"weight": True}])
def test_located(isa, origin, place, options):
    errors = Errors()
    for C, (coarse, fine) in zip((150, 2, 5, 16, 17, 21, 1, 64, 33), SIZES, strict=True):
        weights = class_weights(C) if "weight" in options else None
        scores, offsets, labels = case(coarse, fine, C=C, labels=torch.uint8, dtype=torch.float32)
        check_located(scores, offsets, labels, Options(origin, **(options | {"weight": weights}), **place), errors)
    errors.check()


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("place", PLACES)
def test_located_with_scores_far_apart(isa, origin, place):
    errors = Errors()
    for coarse, fine in SIZES:
        scores, offsets, labels = case(coarse, fine, C=19, scale=60.0, dtype=torch.float32)
        if "regression" in place:
            check_but_for_ties(scores, offsets, labels, Options(origin, **place))
        else:
            check_located(scores, offsets, labels, Options(origin, **place), errors)
            errors.check()


@pytest.mark.parametrize("origin", ORIGINS)
def test_zero_offsets_are_bilinear_and_all_of_them_penalised(isa, origin):
    scores, offsets, labels = case(C=7, dtype=torch.float32)
    plain = cpu.loss(scores, None, labels, DIVISORS, **Options(origin).of_loss(), **NO_TERMS, gradient=True)[:2]
    still = torch.zeros_like(offsets)
    options = Options(origin, guided=0.5)
    terms = options.of_loss() | options.of_place()
    loss, gradient, _ = cpu.loss(scores, still, labels, DIVISORS, **terms, gradient=True)
    torch.testing.assert_close(loss, 1.5 * plain[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, 1.5 * plain[1], rtol=1e-4, atol=1e-6)
    spared = cpu.loss(scores, still, labels, DIVISORS, **(terms | {"ties": "spare"}), gradient=False)[0]
    torch.testing.assert_close(spared, plain[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize("options", [{}, {"weight": class_weights(9), "label_smoothing": 0.3}])
def test_pixel_losses(isa, scale, options):
    scores, offsets, labels = case(C=9, scale=scale, dtype=torch.float32)
    options = Options(**options)
    upstream = torch.randn(labels.shape)
    found = cpu.pixels(scores, None, labels, **options.of_loss())
    assert (found[labels == 255] == 0).all()
    gradient = cpu.pixels_backward(upstream, scores, None, labels, **options.of_loss())[0]
    still = torch.zeros_like(offsets, dtype=torch.float64)
    leaf = scores.double().requires_grad_()
    exact = dense_pixels(render(leaf, still, "center"), labels, options)
    assert distance(found, exact.detach()) < 1e-6
    assert distance(gradient, torch.autograd.grad(exact, leaf, upstream.double())[0]) < 1e-5
    found = cpu.pixels(scores, offsets, labels, **options.of_loss())
    gradients = cpu.pixels_backward(upstream, scores, offsets, labels, **options.of_loss())
    leaves = [tensor.double().requires_grad_() for tensor in (scores, offsets)]
    exact = dense_pixels(render(*leaves, "center"), labels, options)
    assert distance(found, exact.detach()) < 1e-6
    for ours, theirs in zip(gradients, torch.autograd.grad(exact, leaves, upstream.double()), strict=True):
        assert distance(ours, theirs) < 1e-5


def test_nothing_but_ignored_pixels(isa):
    scores, offsets, labels = case(C=5, dtype=torch.float32)
    labels = torch.full_like(labels, 255)
    for found in (
        cpu.loss(scores, None, labels, DIVISORS, **Options().of_loss(), **NO_TERMS, gradient=True)[:2],
        cpu.loss(
            scores,
            offsets,
            labels,
            DIVISORS,
            **Options().of_loss(),
            **Options(guided=0.3, regression=1.0).of_place(),
            gradient=True,
        ),
    ):
        assert all((each == 0).all() for each in found)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", PLACES)
def test_offsets_that_are_no_numbers(isa, bad, place):
    """Infinity reads the edge; NaN makes the loss NaN, and nothing is read or written elsewhere."""
    scores, offsets, labels = case(C=5, dtype=torch.float32)
    labels[:, 0, :4] = 1
    offsets[:, :, 0, :4] = bad
    options = Options(**place)
    loss, to_scores, to_offsets = cpu.loss(
        scores, offsets, labels, DIVISORS, **options.of_loss(), **options.of_place(), gradient=True
    )
    if bad != bad:
        assert loss.isnan()
        assert to_offsets[:, :, 0, :4].isnan().all()
    elif options.regression is None:
        assert loss.isfinite()
        assert to_scores.isfinite().all()
        assert (to_offsets[:, :, 0, :4] == 0).all()
    assert to_offsets[:, :, 1:].isfinite().all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_make_the_loss_nan(isa, bad):
    scores, offsets, labels = case(C=5, dtype=torch.float32)
    scores[0, 3, 2, 2] = bad
    assert cpu.loss(scores, None, labels, DIVISORS, **Options().of_loss(), **NO_TERMS, gradient=True)[0].isnan()
    terms = Options().of_loss() | Options().of_place()
    assert cpu.loss(scores, offsets, labels, DIVISORS, **terms, gradient=True)[0].isnan()


def test_labels_are_compared_as_numbers(isa):
    scores, _, _ = case(C=200, dtype=torch.float32)
    labels = torch.full((2, 20, 18), 156, dtype=torch.uint8)  # -100 as a byte
    found = cpu.loss(
        scores, None, labels, DIVISORS, **Options(ignore_index=-100).of_loss(), **NO_TERMS, gradient=False
    )[0]
    assert found > 1


def test_the_number_of_threads_changes_no_bit(isa):
    scores, offsets, labels = case((9, 11), (150, 70), C=21, dtype=torch.float32)
    options = Options(guided=0.3, regression=0.1)
    threads = torch.get_num_threads()
    runs = []
    try:
        for count in (1, 2, 3, 2):
            torch.set_num_threads(count)
            located = cpu.loss(
                scores, offsets, labels, DIVISORS, **options.of_loss(), **options.of_place(), gradient=True
            )
            runs.append(
                (
                    *located,
                    *cpu.loss(scores, None, labels, DIVISORS, **options.of_loss(), **NO_TERMS, gradient=True)[:2],
                )
            )
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(*pair) for pair in zip(run, runs[0], strict=True))


@settings(max_examples=60, deadline=None)
@given(
    B=st.integers(1, 3),
    C=st.integers(1, 40),
    coarse=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    fine=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    origin=st.sampled_from(ORIGINS),
    regression=st.sampled_from([None, 0.2]),
)
def test_any_shape(B, C, coarse, fine, origin, regression):
    scores, offsets, labels = case(coarse, fine, B=B, C=C, dtype=torch.float32)
    check_bilinear(scores, labels, Options(origin), Errors())
    check_but_for_ties(scores, offsets, labels, Options(origin, regression=regression))


@pytest.mark.parametrize("weight", [None, class_weights(6)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_counting_labels(weight, dtype):
    labels = torch.randint(0, 6, (3, 200, 333))
    labels[torch.rand(labels.shape) < 0.3] = 255
    count, wrong = native.count_labels(labels.to(dtype), 6, 255, weight)
    valid = labels[labels != 255]
    assert wrong is None
    assert count == pytest.approx(len(valid) if weight is None else weight[valid].double().sum().item(), rel=1e-12)
    labels[2, 100, 7] = 6
    assert native.count_labels(labels.to(dtype), 6, 255, weight)[1] == 6
    assert native.count_labels(labels.to(dtype), 300, -1, None)[0] == labels.numel()


def test_unusable_tensors_are_named():
    scores = torch.zeros(1, 3, 2, 2)
    assert cpu.unusable(scores, None) is None
    assert "float64" in cpu.unusable(scores.double(), None)
    assert "2 groups" in cpu.unusable(scores, torch.zeros(1, 4, 4, 4))
    assert "CPU" in cpu.unusable(scores.to("meta"), None)
