from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from offstride.data.catalog import ClassSet
from offstride.data.sample import Sample
from offstride.data.stream import SampleStream, TrainingSet, derive_seed

lengths, seeds, starts = st.integers(1, 9), st.integers(0, 2**32), st.integers(0, 50)


def first(stream: SampleStream, count: int) -> list[tuple[int, int]]:
    return list(islice(stream, count))


@settings(deadline=None)
@given(lengths, seeds)
def test_each_epoch_is_a_permutation(length, seed):
    places = first(SampleStream(length, seed), 4 * length)
    assert [position for position, _ in places] == list(range(4 * length))
    for epoch in range(4):
        indices = [index for _, index in places[epoch * length : (epoch + 1) * length]]
        assert sorted(indices) == list(range(length))


@settings(deadline=None)
@given(lengths, seeds, starts)
def test_a_restart_continues_exactly(length, seed, start):
    assert first(SampleStream(length, seed, start), 20) == first(SampleStream(length, seed), start + 20)[start:]


@settings(deadline=None)
@given(lengths, seeds, starts, st.integers(1, 5))
def test_the_ranks_together_yield_what_one_process_yields(length, seed, start, world_size):
    ranks = [first(SampleStream(length, seed, start, rank, world_size), 10) for rank in range(world_size)]
    together = [place for step in zip(*ranks, strict=True) for place in step]
    assert together == first(SampleStream(length, seed, start), 10 * world_size)


def test_epochs_and_seeds_shuffle_differently():
    def orders(seed: int) -> list[list[int]]:
        indices = [index for _, index in first(SampleStream(50, seed), 100)]
        return [indices[:50], indices[50:]]

    seen = [order for seed in range(3) for order in orders(seed)]
    assert len({tuple(order) for order in (*seen, range(50))}) == 7


def test_a_stream_can_be_read_again_from_its_start():
    stream = SampleStream(5, 0, start=7)
    assert first(stream, 9) == first(stream, 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "length: expected"),
        ({"start": -1}, "start: expected"),
        ({"rank": 2, "world_size": 2}, "rank, world_size: expected"),
        ({"rank": -1}, "rank, world_size: expected"),
        ({"world_size": 0}, "rank, world_size: expected"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SampleStream(**({"length": 5, "seed": 0} | arguments))


def test_seeds_are_hashes_that_stay_the_same_across_versions():
    assert derive_seed(0, 0) == 1350176041220068806
    assert len({derive_seed(a, b) for a in range(30) for b in range(30)}) == 900
    assert all(0 <= derive_seed(number) < 2**63 for number in range(100))


class Numbers:
    """Samples that are their own index."""

    classes = ClassSet(("number",))

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Sample:
        return Sample(torch.full((3, 1, 1), index), torch.tensor([[index]]), str(index))


def tagged(sample: Sample, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return sample.label, torch.tensor(seed)


def test_positions_carry_their_own_augmentation_seed():
    dataset = TrainingSet(Numbers(), tagged, seed=3)
    places = first(SampleStream(len(dataset), 3), 12)
    labels, drawn = zip(*(dataset[place] for place in places), strict=True)
    assert [int(label) for label in labels] == [index for _, index in places]
    assert [int(seed) for seed in drawn] == [derive_seed(3, position) for position in range(12)]
    assert len({int(seed) for seed in drawn}) == 12  # the second epoch augments anew
    assert [int(seed) for seed in drawn] != [int(TrainingSet(Numbers(), tagged, 4)[place][1]) for place in places]


def test_a_loader_reads_the_stream_in_batches():
    dataset = TrainingSet(Numbers(), tagged, seed=0)
    stream = SampleStream(len(dataset), 0, start=2)
    batches = list(islice(DataLoader(dataset, batch_size=4, sampler=stream), 3))
    indices = torch.cat([labels.flatten() for labels, _ in batches]).tolist()
    assert indices == [index for _, index in first(stream, 12)]
