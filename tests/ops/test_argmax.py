"""Label maps, confidences and confusion counts against dense scores in double precision, and the kernels against
themselves without their shortcuts."""

import ctypes

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride.metrics import confusion_matrix
from offstride.ops import native
from offstride.ops.argmax import (
    cpu,
    operators,
    reference,
    upsample_argmax,
    upsample_confidence,
    upsample_confusion,
)

pytestmark = pytest.mark.slow

ORIGINS = ("center", "corner", "aligned")
IMPLS = ("reference", "banded", "cpu")
SIZES = (
    ((5, 7), (40, 56)),  # whole factors
    ((5, 7), (20, 14)),  # two rows, or four, share a vector
    ((6, 9), (23, 50)),
    ((9, 20), (5, 6)),  # downwards
    ((1, 1), (4, 33)),
    ((2, 1), (1, 1)),
    ((3, 2), (70, 66)),  # cells longer than a vector
    ((4, 70), (9, 300)),  # several blocks of coarse pixels
)

needs_kernels = pytest.mark.skipif(native.library() is None, reason="no compiled kernels")


def instruction_sets():
    """Those of this processor."""
    found = []
    for name in ("avx512", "avx2", "baseline"):
        try:
            found.append(native.use(name))
        except ValueError:
            continue
    if found:
        native.use()
    return found


@pytest.fixture(params=instruction_sets())
def kernels(request):
    native.use(request.param)
    native.library().offstride_fill_memory(ctypes.c_float(1e30))  # reading what was never written shows
    yield request.param
    native.use()


# The reference: everything dense, coordinates as floating-point numbers of double precision.


def coordinates(fine, coarse, origin):
    i = torch.arange(fine, dtype=torch.float64)
    if origin == "aligned":
        return i * (coarse - 1) / max(fine - 1, 1)
    return (i + 0.5) * coarse / fine - 0.5 if origin == "center" else i * coarse / fine


def dense(scores, offsets, size, origin):
    (B, C, h, w), (H, W) = scores.shape, size
    scores = scores.double()
    if offsets is None:
        offsets = torch.zeros(B, 2, H, W, dtype=torch.float64)
    M = offsets.shape[1] // 2
    y = (offsets[:, 0::2] + coordinates(H, h, origin)[:, None]).clamp(0, h - 1)
    x = (offsets[:, 1::2] + coordinates(W, w, origin)).clamp(0, w - 1)
    top, left = y.floor(), x.floor()
    total = 0
    for row, wy in ((top, 1 - y + top), ((top + 1).clamp(max=h - 1), y - top)):
        for column, wx in ((left, 1 - x + left), ((left + 1).clamp(max=w - 1), x - left)):
            index = (row * w + column).long().flatten(2)[:, :, None].expand(-1, -1, C // M, -1)
            found = scores.reshape(B, M, C // M, h * w).gather(3, index)
            total = total + found.unflatten(3, size) * (wy * wx)[:, :, None]
    return total.flatten(1, 2)


def smooth(B, C, h, w):
    """Regions of classes, as a network finds them."""
    return F.interpolate(torch.randn(B, C, 3, 3), (h, w), mode="bicubic") * 6 + 0.1 * torch.randn(B, C, h, w)


def assert_most_likely(labels, rendered, margin=1e-5):
    """Labels are right wherever rounding cannot decide."""
    best = rendered.amax(1)
    chosen = rendered.gather(1, labels.long()[:, None])[:, 0]
    assert (best - chosen).max() <= margin * rendered.abs().max().clamp(min=1)


def offsets_of(size, B=2, spread=0.7):
    return spread * torch.randn(B, 2, *size)


# The kernels


@needs_kernels
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("coarse", "size"), SIZES)
@pytest.mark.parametrize("C", [1, 5, 21, 33, 257])
def test_kernels_find_the_most_likely_class(kernels, C, coarse, size, origin):
    for scores in (torch.randn(1, C, *coarse), smooth(1, C, *coarse)):
        for offsets in (None, offsets_of(size, B=1)):
            found = cpu.labels(scores, offsets, size, origin=origin)
            assert found.shape == (1, *size)
            assert found.dtype == (torch.uint8 if C <= 256 else torch.int64)
            assert_most_likely(found, dense(scores, offsets, size, origin))


@needs_kernels
@pytest.mark.parametrize(("h", "w", "factor"), [(5, 6, 8), (3, 20, 4), (7, 5, 2), (3, 4, 32)])
def test_first_of_several_best_classes_wins(kernels, h, w, factor):
    """Small whole numbers between coarse pixels of a power of two: nothing is rounded, and much is equal."""
    scores = torch.randint(-1, 2, (2, 6, h, w)).float()
    for origin in ORIGINS:
        size = (h * factor - factor + 1, w * factor - factor + 1) if origin == "aligned" else (h * factor, w * factor)
        offsets = torch.randint(-20, 21, (2, 2, *size)) / 16
        for moved in (None, offsets):
            found = cpu.labels(scores, moved, size, origin=origin)
            assert torch.equal(found.long(), dense(scores, moved, size, origin).argmax(1))


def rounding(*shape):
    """Scores that differ by units in the last place, or not at all."""
    return torch.randn(1, 1, *shape[2:]) * (1 + torch.randint(-2, 3, shape) * torch.finfo(torch.float32).eps)


def ladder(B, C, h, w):
    """Every class is a little better than the one before, by no more than rounding; half of the image is constant."""
    base, step = torch.rand(B, 1, h, w) + 1, torch.tensor([1.0, 3.0, 12.0])[torch.arange(h) % 3, None].repeat(1, w)
    base[..., : w // 2], step[..., : w // 2] = 1.7, 1
    return base * (1 + torch.arange(C).view(-1, 1, 1) * step * torch.finfo(torch.float32).eps / 2)


@needs_kernels
@pytest.mark.parametrize(
    "make",
    [
        torch.randn,
        smooth,
        lambda *shape: smooth(*shape).bfloat16().float(),
        rounding,
        ladder,
        lambda *shape: -ladder(*shape),
        lambda *shape: rounding(*shape) * 1e30,
        lambda *shape: rounding(*shape) * 1e-40,
        lambda *shape: torch.randn(shape) * 1e38,
        lambda *shape: torch.randn(shape) * 10.0 ** torch.randint(-3, 9, shape),
        torch.zeros,
    ],
)
def test_shortcuts_change_nothing(kernels, make):
    for C, coarse, size in (
        (3, (9, 9), (33, 71)),
        (21, (6, 9), (48, 72)),
        (40, (5, 33), (23, 70)),
        (257, (4, 5), (16, 20)),
    ):
        scores, offsets = make(2, C, *coarse), offsets_of(size)
        for moved in (None, offsets):
            for origin in ORIGINS:
                native.label_thoroughly(True)
                thorough = cpu.labels(scores, moved, size, origin=origin)
                native.label_thoroughly(False)
                assert torch.equal(cpu.labels(scores, moved, size, origin=origin), thorough)


@needs_kernels
def test_scores_that_are_not_finite(kernels):
    """NaN never wins, a class that is -inf everywhere is as good as absent, and nothing is read out of bounds."""
    scores, size, offsets = smooth(2, 7, 6, 9), (45, 50), offsets_of((45, 50))
    for moved in (None, offsets):
        expected = cpu.labels(scores[:, :6], moved, size, origin="center")
        for value in (-torch.inf, torch.nan):
            scores[:, 6] = value
            assert torch.equal(cpu.labels(scores, moved, size, origin="center"), expected)
        holes = torch.randn(scores.shape) + 9 * (torch.rand(scores.shape) < 0.3)
        without = torch.rand(scores.shape) < 0.1
        one, two = (holes.masked_fill(without, value) for value in (-torch.inf, torch.nan))
        expected = cpu.labels(one, moved, size, origin="center")
        assert torch.equal(cpu.labels(two, moved, size, origin="center"), expected)
    broken = torch.randn(2, 7, 6, 9)
    broken[torch.rand(broken.shape) < 0.3] = torch.nan
    broken[torch.rand(broken.shape) < 0.2] = torch.inf
    for moved in (None, offsets):
        assert cpu.labels(broken, moved, size, origin="center").max() < 7
    assert not cpu.labels(torch.full((1, 4, 3, 3), torch.nan), None, (20, 20), origin="center").any()


@needs_kernels
def test_offsets_that_are_not_finite(kernels):
    scores, size = smooth(1, 21, 6, 9), (40, 50)
    offsets = offsets_of(size, B=1)
    expected = cpu.labels(scores, offsets, size, origin="corner")
    wild = torch.rand(1, *size) < 0.3
    values = torch.tensor([torch.nan, torch.inf, -torch.inf, 3e38, -3e38])
    broken = torch.where(wild[:, None], values[torch.randint(0, 5, (1, 2, *size))], offsets)
    found = cpu.labels(scores, broken, size, origin="corner")
    assert torch.equal(found[~wild], expected[~wild])
    assert found.max() < 21


@needs_kernels
@pytest.mark.parametrize("C", [1, 2, 21, 255, 256, 257])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_kernels_count_pairs(kernels, C, dtype):
    scores, size = smooth(2, C, 6, 9), (50, 61)
    target = torch.randint(0, min(C, 255), (2, 5, 7)).to(dtype)
    target = F.interpolate(target[:, None].float(), size)[:, 0].to(dtype)  # mostly uniform
    target[:, 20:30] = torch.randint(0, min(C, 255), (2, 10, 61)).to(dtype)
    target[:, :3] = 255
    for ignore_index in (255, 0, -100):
        counted = target if ignore_index == 255 else target.where(target != 255, min(C, 255) - 1)
        for moved in (None, offsets_of(size)):
            labels = cpu.labels(scores, moved, size, origin="center").long()
            valid = counted != ignore_index if ignore_index >= 0 else torch.ones_like(counted, dtype=torch.bool)
            pairs = (counted.long() * C + labels)[valid]
            expected = torch.bincount(pairs, minlength=C * C).view(C, C)
            found = cpu.confusion(scores, moved, counted, origin="center", ignore_index=ignore_index)
            assert torch.equal(found, expected)


@needs_kernels
def test_kernels_read_no_count_for_a_label_out_of_range(kernels):
    """The caller has checked; a wrong label is not counted, wherever it points."""
    scores, size = torch.randn(1, 5, 4, 4), (16, 16)
    for dtype, wrong in ((torch.uint8, [5, 200]), (torch.int64, [-1, 5, 2**40, -(2**60)])):
        for label in wrong:
            target = torch.full((1, *size), label, dtype=dtype)
            assert not cpu.confusion(scores, None, target, origin="center", ignore_index=255).any()


@needs_kernels
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("scale", [1, 60])
def test_kernels_find_the_confidence(kernels, scale, origin):
    for (coarse, size), C in zip(SIZES, (2, 21, 21, 300, 1, 3, 33, 5), strict=True):
        scores = scale * torch.randn(2, C, *coarse)
        for offsets in (None, offsets_of(size)):
            found = cpu.confidence(scores, offsets, size, origin=origin)
            expected = dense(scores, offsets, size, origin).softmax(1).amax(1)
            assert found.max() <= 1
            # a coordinate is off by a few units in the last place, and with it scores by as many times their slope
            torch.testing.assert_close(found, expected.float(), rtol=2e-5 * scale, atol=1e-6)


@needs_kernels
def test_threads_change_nothing():
    scores, size = torch.randn(2, 21, 20, 30), (160, 240)
    target = torch.randint(0, 21, (2, *size))
    for offsets in (None, offsets_of(size)):
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            options = {"offsets": offsets, "impl": "cpu"}
            found.append(
                (
                    upsample_argmax(scores, size, **options),
                    upsample_confidence(scores, size, **options),
                    upsample_confusion(scores, target, **options),
                )
            )
        for one, two in zip(*found, strict=True):
            assert torch.equal(one, two)


# The public functions


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("groups", [0, 1, 3])
def test_implementations_agree(impl, origin, groups):
    if impl == "cpu" and (groups > 1 or native.library() is None):
        pytest.skip("the kernels serve one group of offsets, if they are there")
    scores, size = smooth(2, 6, 7, 9), (25, 43)
    offsets = torch.randn(2, 2 * groups, *size) if groups else None
    options = {"offsets": offsets, "origin": origin, "impl": impl}
    rendered = dense(scores, offsets, size, origin)
    labels = upsample_argmax(scores, size, **options)
    assert labels.dtype == torch.uint8
    assert_most_likely(labels, rendered)
    confidence = upsample_confidence(scores, size, **options)
    assert confidence.dtype == torch.float32
    torch.testing.assert_close(confidence, rendered.softmax(1).amax(1).float(), rtol=1e-4, atol=1e-6)
    target = torch.randint(0, 7, (2, *size)).where(torch.rand(2, *size) < 0.9, 255) % 6
    found = upsample_confusion(scores, target, ignore_index=3, **options)
    assert torch.equal(found, confusion_matrix(labels, target, 6, ignore_index=3))


@pytest.mark.parametrize("impl", IMPLS)
def test_interpolate_is_what_the_default_equals(impl):
    if impl == "cpu" and native.library() is None:
        pytest.skip("no compiled kernels")
    scores = smooth(1, 8, 9, 11)
    rendered = F.interpolate(scores, (30, 41), mode="bilinear")
    assert (upsample_argmax(scores, (30, 41), impl=impl) == rendered.argmax(1)).float().mean() > 0.999
    torch.testing.assert_close(upsample_confidence(scores, (30, 41), impl=impl), rendered.softmax(1).amax(1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_precisions(dtype):
    scores, size = smooth(2, 5, 6, 9).to(dtype), (20, 31)
    for offsets in (None, offsets_of(size).to(dtype)):
        rendered = dense(scores, None if offsets is None else offsets.double(), size, "center")
        assert_most_likely(upsample_argmax(scores, size, offsets=offsets), rendered)
        confidence = upsample_confidence(scores, size, offsets=offsets)
        assert confidence.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        torch.testing.assert_close(confidence.double(), rendered.softmax(1).amax(1), rtol=1e-4, atol=1e-6)


def test_memory_layouts_do_not_matter():
    scores, size = smooth(2, 5, 6, 9), (20, 31)
    offsets, target = offsets_of(size), torch.randint(0, 5, (2, *size))
    strided = scores.to(memory_format=torch.channels_last), offsets.mT.contiguous().mT, target.mT.contiguous().mT
    for moved, moved_strided in ((None, None), (offsets, strided[1])):
        expected = upsample_argmax(scores, size, offsets=moved), upsample_confusion(scores, target, offsets=moved)
        assert torch.equal(upsample_argmax(strided[0], size, offsets=moved_strided), expected[0])
        assert torch.equal(upsample_confusion(strided[0], strided[2], offsets=moved_strided), expected[1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_labels_of_any_integer_type(dtype):
    scores, target = smooth(1, 5, 4, 4), torch.randint(0, 5, (1, 16, 16))
    found = upsample_confusion(scores, target.to(dtype), ignore_index=2)
    assert torch.equal(found, upsample_confusion(scores, target, ignore_index=2, impl="reference"))
    assert found.sum() == (target != 2).sum()


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(("dtype", "wrong"), [(torch.uint8, 5), (torch.int64, -1), (torch.int64, 2**40)])
def test_labels_out_of_range_raise(impl, dtype, wrong):
    if impl == "cpu" and native.library() is None:
        pytest.skip("no compiled kernels")
    target = torch.zeros(1, 8, 8, dtype=dtype)
    target[0, 7, 7] = wrong
    with pytest.raises(ValueError, match=rf"labels: expected classes 0 … 4 or 255 \(ignored\), got \[{wrong}\]"):
        upsample_confusion(torch.zeros(1, 5, 4, 4), target, impl=impl)


def test_nothing_counted_is_zero():
    target = torch.full((1, 8, 8), 255)
    assert torch.equal(upsample_confusion(torch.randn(1, 5, 4, 4), target), torch.zeros(5, 5, dtype=torch.int64))


SCORES = torch.zeros(1, 4, 3, 3)


@pytest.mark.parametrize(
    ("scores", "size", "options", "message"),
    [
        (torch.zeros(4, 3, 3), (6, 6), {}, "scores: expected a floating-point"),
        (torch.zeros(1, 4, 3, 3, dtype=torch.long), (6, 6), {}, "scores: expected a floating-point"),
        (torch.zeros(1, 0, 3, 3), (6, 6), {}, "scores: expected a floating-point"),
        (SCORES, (6,), {}, r"size: expected a positive \(H, W\), got \(6,\)"),
        (SCORES, (6, 0), {}, r"size: expected a positive \(H, W\), got \(6, 0\)"),
        (SCORES, (6, 6), {"origin": "centre"}, "origin: expected one of"),
        (SCORES, (6, 6), {"impl": "fast"}, "impl: expected one of auto, cpu, triton, banded, reference, got 'fast'"),
        (SCORES, (6, 6), {"offsets": torch.zeros(1, 2, 6, 7)}, r"offsets: expected those of \(6, 6\) pixels"),
        (SCORES, (6, 6), {"offsets": torch.zeros(2, 2, 6, 6)}, "offsets: expected batch size 1"),
        (SCORES, (6, 6), {"offsets": torch.zeros(1, 6, 6, 6)}, "offsets: expected 2M channels"),
        (SCORES, (6, 6), {"offsets": torch.zeros(1, 2, 6, 6).long()}, "offsets: expected a floating-point"),
    ],
)
def test_arguments_are_checked(scores, size, options, message):
    for function in (upsample_argmax, upsample_confidence):
        with pytest.raises(ValueError, match=message):
            function(scores, size, **options)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (torch.zeros(2, 6, 6).long(), {}, r"labels: expected shape \(1, 6, 6\), got \(2, 6, 6\)"),
        (torch.zeros(6, 6).long(), {}, "labels: expected shape"),
        (torch.zeros(1, 6, 6), {}, "labels: expected an integer type, got torch.float32"),
        (torch.zeros(1, 6, 6).long(), {"offsets": torch.zeros(1, 2, 6, 7)}, r"labels: expected shape \(1, 6, 7\)"),
        (torch.zeros(1, 6, 6).long(), {"ignore_index": 1.5}, "ignore_index: expected an integer, got 1.5"),
    ],
)
def test_labels_are_checked(labels, options, message):
    with pytest.raises(ValueError, match=message):
        upsample_confusion(SCORES, labels, **options)


def test_an_implementation_that_cannot_serve_names_another():
    best = "cpu" if native.library() is not None else "banded"
    with pytest.raises(ValueError, match=f"impl: 'triton' cannot be used here: it needs .*; use '{best}'"):
        upsample_argmax(SCORES, (6, 6), impl="triton")
    with pytest.raises(ValueError, match=r"impl: 'cpu' cannot be used here: it .*; use 'banded'"):
        upsample_argmax(SCORES.double(), (6, 6), impl="cpu")
    with pytest.raises(ValueError, match=r"impl: 'cpu' cannot be used here: it .*; use 'banded'"):
        upsample_confusion(SCORES, torch.zeros(1, 6, 6).long(), offsets=torch.zeros(1, 4, 6, 6), impl="cpu")


@needs_kernels
def test_auto_takes_the_kernels_where_they_can(monkeypatch):
    served = []
    for name in ("labels", "confidence", "confusion"):
        original = getattr(cpu, name)
        monkeypatch.setattr(cpu, name, lambda *args, original=original, **kw: served.append(1) or original(*args, **kw))
    upsample_argmax(SCORES, (6, 6))
    upsample_confidence(SCORES, (6, 6), offsets=torch.zeros(1, 2, 6, 6))
    upsample_confusion(SCORES, torch.zeros(1, 6, 6).long())
    assert len(served) >= 3
    served.clear()
    upsample_argmax(SCORES.double(), (6, 6))
    assert not served


@pytest.mark.parametrize("located", [False, True])
def test_operators(located):
    scores, target = smooth(1, 4, 3, 5), torch.randint(0, 4, (1, 12, 10))
    offsets = offsets_of((12, 10), B=1) if located else None
    for operator, rest in (
        (operators.labels, ([12, 10], "center", "auto")),
        (operators.confidence, ([12, 10], "center", "auto")),
    ):
        torch.library.opcheck(operator, (scores, offsets, *rest))
    torch.library.opcheck(operators.confusion, (scores, offsets, target, "center", 255, "auto"))


def test_compiled_and_in_inference_mode():
    scores, target, offsets = smooth(1, 4, 3, 5), torch.randint(0, 4, (1, 12, 10)), offsets_of((12, 10), B=1)

    def everything(scores, target, offsets):
        return (
            upsample_argmax(scores, target.shape[1:]),
            upsample_confidence(scores, (12, 10), offsets=offsets),
            upsample_confusion(scores, target, offsets=offsets),
        )

    expected = everything(scores, target, offsets)
    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    with torch.inference_mode():
        in_inference = everything(scores, target, offsets)
    for found in (compiled(scores, target, offsets), in_inference):
        for one, two in zip(found, expected, strict=True):
            assert torch.equal(one, two)


def test_scores_with_gradients_are_taken_without():
    scores = smooth(1, 4, 3, 5).requires_grad_()
    assert not upsample_confidence(scores, (12, 10)).requires_grad
    assert not upsample_argmax(scores, (12, 10), offsets=offsets_of((12, 10), B=1).requires_grad_()).requires_grad


extent = st.integers(1, 24)


@needs_kernels
@settings(max_examples=60, deadline=None)
@given(
    C=st.integers(1, 40),
    coarse=st.tuples(extent, extent),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    located=st.booleans(),
    origin=st.sampled_from(ORIGINS),
    levels=st.sampled_from([2, 5, 1000]),
    seed=st.integers(0, 99),
)
def test_any_shape(C, coarse, size, located, origin, levels, seed):
    torch.manual_seed(seed)
    scores = torch.randint(0, levels, (1, C, *coarse)) / levels
    offsets = offsets_of(size, B=1, spread=3) if located else None
    labels = cpu.labels(scores, offsets, size, origin=origin)
    rendered = dense(scores, offsets, size, origin)
    assert_most_likely(labels, rendered)
    target = torch.randint(0, C, (1, *size))
    pairs = (target * C + labels).flatten()
    counts = cpu.confusion(scores, offsets, target, origin=origin, ignore_index=255)
    assert torch.equal(counts, torch.bincount(pairs, minlength=C * C).view(C, C))
    confidence = cpu.confidence(scores, offsets, size, origin=origin)
    torch.testing.assert_close(confidence, rendered.softmax(1).amax(1).float(), rtol=1e-5, atol=1e-6)


def test_reference_is_dense():
    scores, size = torch.randn(1, 300, 3, 4, dtype=torch.float64), (9, 10)
    rendered = dense(scores, None, size, "corner")
    assert torch.equal(reference.labels(scores, None, size, origin="corner"), rendered.argmax(1))
