"""The input of training: an endless, shuffled stream of samples with random access to its positions.

The sample at position p and its augmentation depend on the seed and p alone: not on the number of processes or workers,
nor on earlier reads. Training that resumes at position p therefore continues exactly.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import count

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from offstride.data.sample import Sample, SampleSet


def derive_seed(*numbers: int) -> int:
    """Hash integers to a seed of 63 bits, the same on every machine."""
    digest = blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class SampleStream(Sampler[tuple[int, int]]):
    """Endless pairs `(position, index)`: each epoch of `length` positions is a permutation of its own.

    Rank r of n yields the positions `start + r, start + r + n, …`, so the ranks together yield what one process would.

    Args:
        length: Number of samples of the dataset.
        seed: Of the permutations.
        start: First position; how many samples all ranks together have consumed.
        rank: Of this process.
        world_size: Number of processes.

    Raises:
        ValueError: When a number is out of its range.
    """

    def __init__(self, length: int, seed: int, start: int = 0, rank: int = 0, world_size: int = 1) -> None:
        if length < 1:
            raise ValueError(f"length: expected at least one sample, got {length}")
        if start < 0:
            raise ValueError(f"start: expected a position from 0 on, got {start}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank, world_size: expected 0 <= rank < world_size, got {rank} and {world_size}")
        self.length, self.seed, self.start = length, seed, start
        self.rank, self.world_size = rank, world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, order = -1, torch.empty(0)
        for position in count(self.start + self.rank, self.world_size):
            if position // self.length != epoch:
                epoch = position // self.length
                order = self._order(epoch)
            yield position, int(order[position % self.length])

    def _order(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch))
        return torch.randperm(self.length, generator=generator)


class TrainingSet(Dataset[tuple[Tensor, Tensor]]):
    """A dataset with a random transform, indexed by the pairs of a `SampleStream`.

    Args:
        dataset: Labelled images.
        transform: From a sample and a seed to (image, label), such as `TrainTransform`.
        seed: Of the augmentation: position p is transformed with a hash of (seed, p).
    """

    def __init__(
        self, dataset: SampleSet, transform: Callable[[Sample, int], tuple[Tensor, Tensor]], seed: int
    ) -> None:
        self.dataset, self.transform, self.seed = dataset, transform, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: tuple[int, int]) -> tuple[Tensor, Tensor]:
        position, index = place
        return self.transform(self.dataset[index], derive_seed(self.seed, position))
