"""Exact selection against sorting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offstride.ops.select import kth_largest


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, width=32, allow_infinity=True), min_size=1, max_size=50), st.data())
def test_is_that_of_the_sorted_values(values, data):
    k = data.draw(st.integers(1, len(values)))
    assert kth_largest(torch.tensor(values), k).item() == sorted(values, reverse=True)[k - 1]


def test_finds_one_of_many_that_share_their_upper_bits():
    values = 1 + torch.rand(3, 100, 100) / 1000
    ranked = values.flatten().sort(descending=True).values
    for k in (1, 2, 777, 30_000):
        assert torch.equal(kth_largest(values, k), ranked[k - 1])


@pytest.mark.parametrize("k", [0, 4])
def test_the_rank_must_exist(k):
    with pytest.raises(ValueError, match=rf"k: expected 1 … 3.*got {k}"):
        kth_largest(torch.ones(3), k)


def test_only_single_precision():
    with pytest.raises(ValueError, match=r"values: expected float32, got torch\.float64"):
        kth_largest(torch.ones(3, dtype=torch.float64), 1)
