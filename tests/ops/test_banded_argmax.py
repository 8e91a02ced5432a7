"""Label maps, confidences and confusion counts of the banded form against dense scores in double precision."""

import pytest
import torch
from dense import ORIGINS, SIZES, case, render
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from offstride.ops.argmax import banded
from offstride.ops.cross_entropy.banded import reader, tiled, upsampling

pytestmark = pytest.mark.slow


def size_of(labels):
    return labels.shape[1], labels.shape[2]


def dense(scores, offsets, origin, fine):
    """Scores of every pixel in double precision."""
    if offsets is None:
        offsets = scores.new_zeros(len(scores), 2, *fine)
    return render(scores.double(), offsets.double(), origin)


def check(scores, offsets, fine, origin, tolerance=1e-12):
    """Labels are exact but for ties up to rounding."""
    rendered = dense(scores, offsets, origin, fine)
    found = banded.labels(scores, offsets, fine, origin=origin)
    assert found.dtype == (torch.uint8 if scores.shape[1] <= 256 else torch.int64)
    assert found.shape == (len(scores), *fine)
    best, expected = rendered.max(1)
    lost = best - rendered.gather(1, found.long()[:, None])[:, 0]
    assert (lost <= tolerance * (1 + best.abs())).all()
    assert (found == expected).float().mean() > 0.99
    sure = banded.confidence(scores, offsets, fine, origin=origin)
    assert sure.dtype == (torch.float64 if scores.dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(sure.double(), rendered.softmax(1).amax(1), rtol=0, atol=20 * tolerance)


@pytest.fixture(params=["table", "grid"])
def way(request, monkeypatch):
    """Both ways to read at any place."""
    monkeypatch.setattr(reader, "FEWEST_CHANNELS", 1 if request.param == "table" else 1 << 30)


@pytest.fixture(params=["whole", "bands"])
def bands(request, monkeypatch):
    """Maps of a few pixels as a whole, and in several bands of every kind."""
    if request.param == "bands":
        monkeypatch.setattr(tiled, "BAND_BYTES", {"cpu": 1 << 11})
        monkeypatch.setattr(upsampling, "PHASE_NUMBERS", {"cpu": 60})
        monkeypatch.setattr(banded, "PLANE", 40)
        monkeypatch.setattr(banded, "COUNTED", 100)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("coarse", "fine"), SIZES)
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_equals_dense_for_any_sizes(origin, coarse, fine, scale, way, bands):
    scores, offsets, _ = case(coarse, fine, scale=scale)
    check(scores, None, fine, origin)
    check(scores, offsets, fine, origin)


@pytest.mark.parametrize("M", [2, 4])
def test_offset_groups(M, way, bands):
    scores, offsets, _ = case(M=M)
    check(scores, offsets, tuple(offsets.shape[2:]), "center")


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, 8)] * 2),
    st.tuples(*[st.integers(1, 20)] * 2),
    st.sampled_from([1, 2, 17, 257]),
    st.integers(1, 3),
    st.sampled_from(ORIGINS),
)
def test_any_shape(coarse, fine, C, B, origin):
    scores, offsets, _ = case(coarse, fine, B=B, C=C)
    check(scores, None, fine, origin)
    check(scores, offsets, fine, origin)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision(dtype, way):
    scores, offsets, labels = case((9, 7), (36, 41), C=21, scale=4.0)
    check(scores.to(dtype), None, size_of(labels), "center", 1e-6)
    check(scores.to(dtype), offsets.to(dtype), size_of(labels), "corner", 2e-5)


@pytest.mark.parametrize("C", [2, 20, 300])
def test_the_first_of_equal_classes_wins(C, way):
    scores, offsets, labels = case(C=C)
    twice = scores.repeat_interleave(2, 1)
    for offset in (None, offsets):
        assert not (banded.labels(twice, offset, size_of(labels), origin="center") % 2).any()
    zeros = torch.zeros_like(scores)
    assert not banded.labels(zeros, None, size_of(labels), origin="center").any()


@pytest.mark.parametrize("labels", [torch.uint8, torch.int64])
@pytest.mark.parametrize("ignore_index", [255, -100, 1])
@pytest.mark.parametrize("C", [1, 4, 257])
@pytest.mark.parametrize("displaced", [False, True])
def test_confusion_counts_pairs(labels, ignore_index, C, displaced, monkeypatch):
    monkeypatch.setattr(banded, "COUNTED", 100)
    scores, offsets, target = case(C=C, labels=labels)
    target[target.long() >= C] = 0
    if labels == torch.int64 or ignore_index >= 0:
        target[:, ::3] = ignore_index
    before, offsets = target.clone(), offsets if displaced else None
    found = banded.confusion(scores, offsets, target, origin="center", ignore_index=ignore_index)
    expected = torch.zeros(C, C, dtype=torch.int64)
    predicted = banded.labels(scores, offsets, size_of(target), origin="center").long()
    valid = target.long() != ignore_index
    ones = torch.ones((), dtype=torch.int64)
    expected.index_put_((target[valid].long(), predicted[valid]), ones, accumulate=True)
    assert found.dtype == torch.int64
    assert torch.equal(found, expected)
    assert torch.equal(target, before)


def test_what_is_not_a_number_is_survived(way):
    scores, offsets, labels = case()
    offsets[0, 0, 3, 4], offsets[0, 1, 5], offsets[1, 0, 2] = torch.nan, torch.inf, -torch.inf
    assert banded.labels(scores, offsets, size_of(labels), origin="center").max() < 4
    sure = banded.confidence(scores, offsets, size_of(labels), origin="center")
    assert sure.isnan().nonzero().tolist() == [[0, 3, 4]]
    scores[0, 1] = torch.nan
    for offset in (None, offsets):
        assert banded.labels(scores, offset, size_of(labels), origin="center").max() < 4


class Largest(TorchDispatchMode):
    """Number of floating-point elements of the largest tensor that any operation returns."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        self.numel = max([self.numel, *(tensor.numel() for tensor in tensors if tensor.is_floating_point())])
        return result


@pytest.mark.parametrize("fine", [(320, 320), (311, 325)])
@pytest.mark.parametrize("displaced", [False, True])
def test_no_full_resolution_scores(fine, displaced):
    scores, offsets, target = case((40, 40), fine, B=2, C=20, dtype=torch.float32)
    offsets = offsets if displaced else None
    with Largest() as largest:
        banded.confusion(scores, offsets, target, origin="center", ignore_index=255)
        banded.confidence(scores, offsets, fine, origin="center")
    assert largest.numel <= target.numel() * 20 / 3


@pytest.mark.parametrize("threads", [1, 2])
def test_same_bits_twice(threads, way):
    torch.set_num_threads(threads)  # as it was, after every test
    scores, offsets, labels = case((16, 15), (64, 50), C=19, dtype=torch.float32)
    for offset in (None, offsets):
        for function in (banded.labels, banded.confidence):
            first, second = (function(scores, offset, size_of(labels), origin="corner") for _ in range(2))
            assert torch.equal(first, second)
