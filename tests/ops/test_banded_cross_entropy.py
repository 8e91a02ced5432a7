"""The banded form against dense scores in double precision, an equation at a time."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from dense import DIVISORS, ORIGINS, SIZES, Options, case, class_weights, dense_located, dense_pixels, places, render
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from offstride.ops.cross_entropy import banded, reference
from offstride.ops.cross_entropy.banded import phase, reader, tiled, upsampling
from offstride.ops.cross_entropy.banded.cells import sort_into_cells
from offstride.ops.cross_entropy.options import NO_TERMS
from offstride.ops.sample import located_sample

pytestmark = pytest.mark.slow

PLACES = [
    {},
    {"guided": 0.3},
    {"guided": 0.5, "ties": "spare"},
    {"regression": 0.1},
    {"guided": 0.3, "regression": 0.7, "window": 2},
]


def close(found, expected, tolerance=1e-11):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def leaves_of(*tensors):
    return [tensor.detach().double().requires_grad_() for tensor in tensors]


def located(scores, offsets, labels, options, *, gradient=True, divisors=DIVISORS):
    return banded.loss(scores, offsets, labels, divisors, **options.of_loss(), **options.of_place(), gradient=gradient)


def check_bilinear(scores, labels, options, tolerance=1e-11):
    """Loss, pixel losses and both gradients."""
    (leaf,) = leaves_of(scores)
    still = torch.zeros(len(scores), 2, *labels.shape[1:], dtype=torch.float64)
    pixels = dense_pixels(render(leaf, still, options.origin), labels, options)
    loss, gradient = banded.loss(scores, None, labels, DIVISORS, **options.of_loss(), **NO_TERMS, gradient=True)[:2]
    close(loss.double(), pixels.sum().detach() / DIVISORS[0], tolerance)
    (expected,) = torch.autograd.grad(pixels.sum() / DIVISORS[0], leaf, retain_graph=True)
    close(gradient.double(), expected, tolerance)
    alone, none = banded.loss(scores, None, labels, DIVISORS, **options.of_loss(), **NO_TERMS, gradient=False)[:2]
    assert none is None
    assert torch.equal(alone, loss)
    close(banded.pixels(scores, None, labels, **options.of_loss()).double(), pixels.detach(), tolerance)
    upstream = torch.randn(pixels.shape)
    (expected,) = torch.autograd.grad(pixels, leaf, upstream.double())
    found = banded.pixels_backward(upstream, scores, None, labels, **options.of_loss())[0]
    close(found.double(), expected, tolerance)
    assert gradient.dtype == found.dtype == scores.dtype


def check_located(scores, offsets, labels, options, tolerance=1e-10):
    leaves = leaves_of(scores, offsets)
    expected = dense_located(*leaves, labels, DIVISORS.double(), options)
    found = located(scores, offsets, labels, options)
    close(found[0].double(), expected.detach(), tolerance)
    for ours, theirs, like in zip(found[1:], torch.autograd.grad(expected, leaves), (scores, offsets), strict=True):
        assert ours.dtype == like.dtype
        close(ours.double(), theirs, tolerance)
    alone = located(scores, offsets, labels, options, gradient=False)
    assert torch.equal(alone[0], found[0])
    assert alone[1:] == (None, None)


def check_located_pixels(scores, offsets, labels, options, tolerance=1e-10):
    leaves = leaves_of(scores, offsets)
    pixels = dense_pixels(render(*leaves, options.origin), labels, options)
    close(banded.pixels(scores, offsets, labels, **options.of_loss()).double(), pixels.detach(), tolerance)
    upstream = torch.randn(pixels.shape)
    found = banded.pixels_backward(upstream, scores, offsets, labels, **options.of_loss())
    for ours, theirs in zip(found, torch.autograd.grad(pixels, leaves, upstream.double()), strict=True):
        close(ours.double(), theirs, tolerance)


@pytest.fixture(params=["table", "grid"])
def way(request, monkeypatch):
    """Both ways to read at any place."""
    monkeypatch.setattr(reader, "FEWEST_CHANNELS", 1 if request.param == "table" else 1 << 30)
    return request.param


@pytest.fixture
def tiny_bands(monkeypatch):
    """Several bands of every kind, for maps of a few pixels."""
    monkeypatch.setattr(tiled, "BAND_BYTES", {"cpu": 1 << 11})
    monkeypatch.setattr(upsampling, "PHASE_NUMBERS", {"cpu": 60})
    monkeypatch.setattr(reader, "SLOPE_NUMBERS", 64)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("coarse", "fine"), SIZES)
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_bilinear_is_dense_for_any_sizes(origin, coarse, fine, scale):
    scores, _, labels = case(coarse, fine, scale=scale)
    check_bilinear(scores, labels, Options(origin))
    check_bilinear(scores, labels, Options(origin, weight=class_weights(4), label_smoothing=0.2))


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("numbers", [1, 60, 300, 1000])
def test_bilinear_in_any_bands(origin, numbers, monkeypatch):
    monkeypatch.setattr(upsampling, "PHASE_NUMBERS", {"cpu": numbers})
    for coarse, fine in SIZES[:4]:
        scores, _, labels = case(coarse, fine, B=3)
        check_bilinear(scores, labels, Options(origin))


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("coarse", "fine"), SIZES)
@pytest.mark.parametrize("place", PLACES)
def test_located_is_dense_for_any_sizes(origin, coarse, fine, place, way):
    for scale in (1.0, 60.0):
        check_located(*case(coarse, fine, scale=scale), Options(origin, **place))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("M", [1, 2, 4])
@pytest.mark.parametrize(
    "options", [{}, {"weight": class_weights(4)}, {"weight": class_weights(4), "label_smoothing": 0.3}]
)
def test_located_with_offset_groups_weights_and_smoothing(place, M, options, way):
    check_located(*case(M=M, scale=3.0), Options(**options, **place))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("M", [1, 2])
def test_located_in_tiny_bands(place, M, way, tiny_bands):
    check_located(*case((5, 7), (13, 17), B=3, M=M), Options(**place))
    check_located(*case((5, 7), (2, 3), B=5, M=M), Options(label_smoothing=0.1, **place))


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("options", [{}, {"weight": class_weights(4)}, {"label_smoothing": 0.3}])
@pytest.mark.parametrize("M", [1, 2])
def test_located_pixels(origin, options, M, way):
    check_located_pixels(*case(M=M), Options(origin, **options))
    check_located_pixels(*case((4, 3), (9, 10), M=M, scale=60.0), Options(origin, **options))


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("C", [1, 5, 20])
def test_channels_are_dealt_to_threads(threads, C, way):
    torch.set_num_threads(threads)  # as it was, after every test
    for B in (1, 2):
        check_located(*case(B=B, C=C), Options(guided=0.3, regression=0.1))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 7)] * 2),
    st.tuples(*[st.integers(1, 15)] * 2),
    st.integers(1, 3),
    st.sampled_from([(1, 1), (3, 1), (4, 2), (3, 3), (18, 1), (34, 2)]),
    st.sampled_from(ORIGINS),
    st.sampled_from(PLACES),
    st.sampled_from([0.0, 1.0, 8.0, 100.0]),
)
def test_any_shape(coarse, fine, B, channels, origin, place, scale):
    C, M = channels
    scores, offsets, labels = case(coarse, fine, B=B, C=C, M=M, scale=scale, labels=torch.uint8)
    check_bilinear(scores, labels, Options(origin))
    if scale:  # where all scores are equal, all candidates are, up to rounding
        check_located(scores, offsets, labels, Options(origin, **place))


@pytest.mark.parametrize("labels", [torch.uint8, torch.int64])
@pytest.mark.parametrize("ignore_index", [255, -100, 2])
def test_labels_of_any_type_layout_and_ignored_value(labels, ignore_index):
    scores, offsets, index = case(labels=labels)
    if ignore_index == -100:  # as a byte it would be 156, and nothing is ignored
        index[index == 255] = 1
    if ignore_index == 2:
        index[index == 255] = 2
    index = index.transpose(1, 2).contiguous().transpose(1, 2)
    check_bilinear(scores, index, Options(ignore_index=ignore_index))
    check_located(scores, offsets, index, Options(ignore_index=ignore_index, guided=0.3, regression=0.1))
    check_located(scores, offsets, index, Options(ignore_index=ignore_index, guided=0.3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("offset_dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(dtype, offset_dtype, way):
    scores, offsets, labels = case(scale=4.0)
    scores, offsets = scores.to(dtype), (offsets / 2).to(offset_dtype)
    tolerance = 1e-4 if torch.float32 == dtype == offset_dtype else 8 * torch.finfo(torch.bfloat16).eps
    check_bilinear(scores, labels, Options(), tolerance)
    check_located(scores, offsets, labels, Options(), tolerance)
    check_located_pixels(scores, offsets, labels, Options(), tolerance)
    found = located(scores, offsets, labels, Options(guided=0.3, regression=0.1))
    exact = located(scores.double(), offsets.double(), labels, Options(guided=0.3, regression=0.1))
    assert [each.dtype for each in found] == [torch.float32, dtype, offset_dtype]
    close(found[0].double(), exact[0], 5e-3)  # more is taken for rounding in single precision


@pytest.mark.parametrize(("scores", "offsets"), [(torch.float64, torch.float32), (torch.float32, torch.float64)])
def test_the_better_precision_counts(scores, offsets):
    tensors = case()
    tensors = tensors[0].to(scores), tensors[1].to(offsets), tensors[2]
    check_located(*tensors, Options(guided=0.3, regression=0.1), 1e-6)
    assert located(*tensors, Options(guided=0.3))[0].dtype == scores
    assert banded.pixels(*tensors, **Options().of_loss()).dtype == scores


# Single precision: no worse than dense single precision by more than half.


def error(found, exact):
    return (found.double() - exact).norm() / exact.norm().clamp(min=1e-30)


def assert_no_worse(found, dense, exact):
    """The error of a loss is that of one number: by chance it may vanish."""
    eps = torch.finfo(torch.float32).eps
    assert error(found[0], exact[0]) <= 1.5 * error(dense[0], exact[0]) + eps
    for ours, theirs, truth in zip(found[1:], dense[1:], exact[1:], strict=True):
        assert error(ours, truth) <= 1.5 * error(theirs, truth) + eps / 8


@pytest.mark.parametrize("scale", [1.0, 10.0, 60.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("fine", [(96, 88), (61, 77)])
def test_bilinear_in_single_precision(scale, smoothing, fine):
    scores, _, labels = case((12, 11), fine, C=19, scale=scale, dtype=torch.float32)
    options = Options(weight=class_weights(19), label_smoothing=smoothing)

    def dense(scores):
        scores = scores.detach().requires_grad_()
        rendered = F.interpolate(scores, fine, mode="bilinear", align_corners=False)
        loss = dense_pixels(rendered, labels, options).sum() / DIVISORS[0]
        return loss.detach(), *torch.autograd.grad(loss, scores)

    found = banded.loss(scores, None, labels, DIVISORS, **options.of_loss(), **NO_TERMS, gradient=True)[:2]
    assert_no_worse(found, dense(scores), dense(scores.double()))
    pixels = banded.pixels(scores, None, labels, **options.of_loss())
    rendered = F.interpolate(scores, fine, mode="bilinear", align_corners=False)
    theirs, exact = (dense_pixels(each, labels, options) for each in (rendered, exact_upsampling(scores, fine)))
    assert error(pixels, exact) <= 1.5 * error(theirs, exact)


def exact_upsampling(scores, fine):
    return F.interpolate(scores.double(), fine, mode="bilinear", align_corners=False)


def without_close_calls(scores, offsets, labels, options):
    """Ignore the pixels at which rounding decides: which place is best, or whether one is better at all."""
    rendered = render(scores.double(), offsets.double(), options.origin)
    own = dense_pixels(rendered, labels, options)
    still = dense_pixels(render(scores.double(), torch.zeros_like(offsets).double(), options.origin), labels, options)
    others, steps = zip(*places(scores.double(), labels, options), strict=True)
    others = torch.stack([still, own, *others])
    steps = torch.stack([torch.full_like(steps[0], -90.0), torch.full_like(steps[0], 90.0), *steps])
    best, which = others[1:].min(0)
    chosen = steps[1:, 0].gather(0, which[:, None].expand(-1, 2, -1, -1)[:1].expand(1, 2, -1, -1))
    close_call = torch.zeros_like(labels, dtype=torch.bool)
    for loss, step in zip(others, steps, strict=True):
        near = (loss - best).abs() <= 5e-3 * best + 5e-6
        close_call |= near & (step != chosen).any(1)
    close_call |= (still - own).abs() <= 5e-3 * torch.maximum(still, own) + 5e-6
    return labels.masked_fill(close_call, options.ignore_index)


@pytest.mark.parametrize("scale", [1.0, 10.0, 60.0])
@pytest.mark.parametrize("place", PLACES)
def test_located_in_single_precision(scale, place, way):
    options = Options(**place)
    scores, offsets, labels = case((12, 11), (48, 41), B=1, C=19, scale=scale, dtype=torch.float32)
    labels = without_close_calls(scores, offsets, labels, options)
    assert (labels != 255).float().mean() > 0.2
    noise = 2**13 * torch.finfo(torch.float32).eps
    leaves = leaves_of(scores, offsets)
    loss = dense_located(*leaves, labels, DIVISORS.double(), options, noise)
    exact = loss.detach(), *torch.autograd.grad(loss, leaves)
    leaves = [scores.requires_grad_(), offsets.requires_grad_()]
    loss = reference.loss(*leaves, labels, DIVISORS, **options.of_loss(), **options.of_place())
    dense = loss.detach(), *torch.autograd.grad(loss, leaves)
    assert_no_worse(located(scores, offsets, labels, options), dense, exact)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 10.0, 60.0])
def test_staying_put_ties(dtype, scale, way):
    scores, offsets, labels = case((9, 8), (36, 31), C=19, scale=scale, dtype=dtype)
    still = torch.zeros_like(offsets)
    plain = located(scores, still, labels, Options())[0]
    tolerance = {"rtol": 1e-6, "atol": 0}
    spared = located(scores, still, labels, Options(guided=0.5, ties="spare"))[0]
    torch.testing.assert_close(spared, plain, **tolerance)
    penalised = located(scores, still, labels, Options(guided=0.5))[0]
    torch.testing.assert_close(penalised, 1.5 * plain, **tolerance)


# What must not happen.


def test_nothing_valid_costs_nothing(way):
    scores, offsets, labels = case()
    labels = torch.full_like(labels, 255)
    for found in (
        banded.loss(scores, None, labels, torch.ones(2), **Options().of_loss(), **NO_TERMS, gradient=True)[:2],
        *(located(scores, offsets, labels, Options(**place), divisors=torch.ones(2)) for place in PLACES),
    ):
        assert not any(each.any() for each in found)


@pytest.mark.parametrize("place", PLACES)
def test_nan_offsets_are_seen_where_they_count(place, way):
    scores, offsets, labels = case()
    labels[0, 3, 4], labels[0, 5, 6] = 255, 1
    clean = located(scores, offsets, labels, Options(**place))
    offsets[0, 0, 3, 4] = torch.nan  # an ignored pixel
    same = located(scores, offsets, labels, Options(**place))
    torch.testing.assert_close(same[0], clean[0])
    torch.testing.assert_close(same[1], clean[1])
    offsets[0, 1, 5, 6] = torch.nan
    loss, to_scores, to_offsets = located(scores, offsets, labels, Options(**place))
    assert loss.isnan()
    assert to_scores.isnan().any()
    assert to_offsets[0, :, 5, 6].isnan().any()
    pixels = banded.pixels(scores, offsets, labels, **Options().of_loss())
    assert pixels.isnan().nonzero().tolist() == [[0, 5, 6]]


@pytest.mark.parametrize("wild", [torch.inf, -torch.inf, 1e30])
def test_offsets_far_away_read_the_edge(wild, way):
    scores, offsets, labels = case()
    offsets[:, :, 2:5] = wild
    near = offsets.clamp(-100, 100)
    for options in (Options(), Options(guided=0.3)):
        found, expected = (located(scores, each, labels, options) for each in (offsets, near))
        for ours, theirs in zip(found, expected, strict=True):
            close(ours, theirs)


@pytest.mark.parametrize("place", PLACES)
def test_nan_scores_give_nan(place, way):
    scores, offsets, labels = case()
    scores[0, 1, 2, 3] = torch.nan
    labels[:] = 1
    assert located(scores, offsets, labels, Options(**place))[0].isnan()
    assert banded.loss(scores, None, labels, DIVISORS, **Options().of_loss(), **NO_TERMS, gradient=False)[0].isnan()


def run_all(scores, offsets, labels):
    upstream = torch.linspace(0, 1, labels.numel()).view(labels.shape)
    options = Options(label_smoothing=0.1).of_loss()
    yield from banded.loss(scores, None, labels, DIVISORS, **options, **NO_TERMS, gradient=True)[:2]
    yield banded.pixels(scores, None, labels, **options)
    yield banded.pixels_backward(upstream, scores, None, labels, **options)[0]
    yield banded.pixels(scores, offsets, labels, **options)
    yield from banded.pixels_backward(upstream, scores, offsets, labels, **options)
    for place in PLACES:
        yield from located(scores, offsets, labels, replace(Options(), **place))


@pytest.mark.parametrize("threads", [1, 2])
def test_same_bits_twice_and_nothing_uninitialised(threads, way):
    torch.set_num_threads(threads)
    tensors = case((16, 15), (64, 50), C=19, dtype=torch.float32)
    first, second = list(run_all(*tensors)), list(run_all(*tensors))
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        poisoned = list(run_all(*tensors))
    finally:
        torch.use_deterministic_algorithms(False)
    for results in zip(first, second, poisoned, strict=True):
        assert all(torch.equal(results[0], each) for each in results)


class Largest(TorchDispatchMode):
    """Number of elements of the largest tensor that any operation returns."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        self.numel = max([self.numel, *(tensor.numel() for tensor in tensors)])
        return result


@pytest.mark.parametrize(("M", "fine"), [(1, (192, 192)), (2, (187, 197))])
def test_no_full_resolution_scores(M, fine, way, monkeypatch):
    monkeypatch.setattr(tiled, "BAND_BYTES", {"cpu": 1 << 20})
    monkeypatch.setattr(upsampling, "PHASE_NUMBERS", {"cpu": 1 << 16})
    tensors = case((24, 24), fine, B=2, C=20, M=M, dtype=torch.float32)
    full = 2 * 20 * fine[0] * fine[1]
    with Largest() as largest:
        list(run_all(*tensors))
    assert largest.numel <= full / 5
    with Largest() as largest:
        located_sample(*tensors[:2])
    assert largest.numel >= full


def test_cells_hold_every_pixel_once():
    for origin in ORIGINS:
        for fine, coarse in ((8, 2), (9, 3), (7, 3), (3, 7), (1, 1), (5, 1), (64, 64)):
            cells = sort_into_cells(fine, coarse, origin)
            assert sorted(cells.fine[cells.present].tolist()) == list(range(fine))
            assert torch.equal(cells.fine.flatten()[cells.position()], torch.arange(fine))


def test_padding_is_folded_back():
    up = upsampling.Upsampling(torch.randn(1, 2, 3, 4, dtype=torch.float64), (6, 4), "center")
    gradient = torch.randn_like(up.coarse[0])
    padded = F.pad(torch.eye(12, dtype=torch.float64).view(12, 1, 3, 4), (up.x.before, 1, up.y.before, 1), "replicate")
    expected = torch.einsum("nyx,bcyx->bcn", padded[:, 0], gradient).view(1, 2, 3, 4)
    close(up.unpad(gradient.clone()), expected)
    assert phase.Ends.zeros(up.rows(next(up.bands()))).left.shape[1] == 2
